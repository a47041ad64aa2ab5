package auth

import (
	"strings"
	"testing"
)

func TestPatternMatch(t *testing.T) {
	for _, c := range []struct {
		pattern Pattern
		yes, no []string
	}{
		{"news", []string{"news"}, []string{"", "new", "newsx", "NEWS", "n*", "xnews"}},
		{"*", []string{"", "a", "#7", "a*b", "ä"}, nil},
		{"**", []string{"", "a"}, nil},
		{"news.*", []string{"news.", "news.a", "news.a.b"}, []string{"news", "news:", "xnews.a"}},
		{"*.news", []string{".news", "a.news", "a.news.news"}, []string{"news", "a.news."}},
		{"a*b", []string{"ab", "aab", "axb", "ab.b"}, []string{"a", "b", "ba", "abx"}},
		{"a*a", []string{"aa", "aba", "aaa"}, []string{"a", "ab"}},
		{"ab*ab", []string{"abab", "abxab"}, []string{"ab", "aba", "abaab"[:3]}},
		{"*ab*", []string{"ab", "xabx"}, []string{"a", "ba", ""}},
		{"a*b*c", []string{"abc", "axbxc", "abbcc"}, []string{"acb", "abcx", "ac"}},
		{"*aab*", []string{"aaab", "aab"}, []string{"abab"}},
		// Special elsewhere, here like any other byte.
		{"a?c", []string{"a?c"}, []string{"abc"}},
		{"[ab]", []string{"[ab]"}, []string{"a"}},
		{`a\*`, []string{`a\`, `a\x`}, []string{"a*", "a"}},
		{"a.c", []string{"a.c"}, []string{"abc"}},
		{"{tag}*", []string{"{tag}", "{tag}x"}, []string{"tag"}},
		{"ä*", []string{"ä", "äx"}, []string{"a\u0308"}},
		{"", []string{""}, []string{"a"}},
	} {
		for _, channel := range c.yes {
			if !c.pattern.Match(channel) {
				t.Errorf("%q does not match %q", c.pattern, channel)
			}
		}
		for _, channel := range c.no {
			if c.pattern.Match(channel) {
				t.Errorf("%q matches %q", c.pattern, channel)
			}
		}
	}
}

func TestPatternAllocatesNothing(t *testing.T) {
	p, channel := Pattern("a*b*c*"+strings.Repeat("x*", 100)), "abc"+strings.Repeat("x", 200)
	if n := testing.AllocsPerRun(100, func() { _ = p.Match(channel) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// slowMatch says the same by definition: row by row, what can be reached.
func slowMatch(pattern, channel string) bool {
	reach := make([]bool, len(channel)+1)
	reach[0] = true
	for i := range len(pattern) {
		next := make([]bool, len(channel)+1)
		for j := range reach {
			switch {
			case !reach[j]:
			case pattern[i] == '*':
				for k := j; k <= len(channel); k++ {
					next[k] = true
				}
			case j < len(channel) && channel[j] == pattern[i]:
				next[j+1] = true
			}
		}
		reach = next
	}
	return reach[len(channel)]
}

func FuzzPattern(f *testing.F) {
	for _, s := range [][2]string{{"news.*", "news.a"}, {"*a*b*", "xaxbx"}, {"a**a", "aa"}, {"ab*ba", "aba"}, {"*", ""}, {"ä*", "ä"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, pattern, channel string) {
		if len(pattern) > maxName || len(channel) > maxName {
			return
		}
		if got, want := Pattern(pattern).Match(channel), slowMatch(pattern, channel); got != want {
			t.Errorf("%q matches %q: %v, want %v", pattern, channel, got, want)
		}
	})
}
