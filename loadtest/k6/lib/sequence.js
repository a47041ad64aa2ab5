// Sequence finds out what is missing, double, or out of order in what one
// subscriber gets of one publisher, which numbers its messages from 0.
export class Sequence {
  // next is the first number that is expected; undefined: whatever comes first.
  constructor(next) {
    this.duplicate = 0;
    this.late = 0; // came, after a later one
    this.holes = new Set(); // did not come, so far
    this.next = next;
  }

  // take notes that n has come, and says whether it is what was expected.
  take(n) {
    if (this.next === undefined) this.next = n;
    if (n >= this.next) {
      const good = n === this.next;
      for (; this.next < n; this.next++) this.holes.add(this.next);
      this.next = n + 1;
      return good;
    }
    if (this.holes.delete(n)) this.late++;
    else this.duplicate++;
    return false;
  }

  // end notes that there are so many messages in all.
  end(total) {
    if (this.next !== undefined) for (; this.next < total; this.next++) this.holes.add(this.next);
  }

  get missing() {
    return this.holes.size;
  }
}
