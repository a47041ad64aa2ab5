package pubsub

// slots is how many hash slots a Redis Cluster has.
const slots = 16384

// keySlot is the Redis Cluster hash slot of a key or of a sharded channel, its
// prefix included: CRC16 modulo 16384 of what stands between the first { and
// the next }, or of all of it where that is nothing.
func keySlot[T string | []byte](key T) uint16 {
	from, to := 0, len(key)
	for i := range len(key) {
		if key[i] != '{' {
			continue
		}
		for j := i + 1; j < len(key); j++ {
			if key[j] == '}' {
				if j > i+1 {
					from, to = i+1, j
				}
				break
			}
		}
		break // only the first { counts
	}
	var crc uint16
	for i := from; i < to; i++ {
		crc = crc<<8 ^ crcTable[byte(crc>>8)^key[i]]
	}
	return crc % slots
}

// crcTable is for CRC-16/XMODEM: polynomial 0x1021, nothing reflected.
var crcTable = func() (table [256]uint16) {
	for i := range table {
		crc := uint16(i) << 8
		for range 8 {
			carry := crc >> 15
			crc = crc<<1 ^ carry*0x1021
		}
		table[i] = crc
	}
	return table
}()

// shardOf says which of n independent Redis servers carries channel, 0..n-1:
// jump consistent hash (Lamping, Veach 2014) of FNV-1a-64. When the n-th
// server is added, one channel in n moves, and all of these to the new one.
// channel is without the prefix. The README gives the same formula to
// publishers: it can never change.
func shardOf(channel string, n int) int {
	const offset, prime = 14695981039346656037, 1099511628211
	hash := uint64(offset)
	for i := range len(channel) {
		hash = (hash ^ uint64(channel[i])) * prime
	}
	shard, next := int64(-1), int64(0)
	for next < int64(n) {
		shard = next
		hash = hash*2862933555777941757 + 1
		// Division, not multiplication by the inverse: exact, and the same in every language.
		next = int64(float64(shard+1) * (float64(1<<31) / float64(hash>>33+1)))
	}
	return int(shard)
}
