package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes, never negative once parsed. It is written with a binary suffix: 512B, 64KiB, 1MiB, 2GiB,
// or as plain bytes.
type Size int64

// The suffixes.
const (
	B   Size = 1
	KiB      = 1024 * B
	MiB      = 1024 * KiB
	GiB      = 1024 * MiB
)

var suffixes = []struct {
	name string
	unit Size
}{{"GiB", GiB}, {"MiB", MiB}, {"KiB", KiB}, {"B", B}}

// ParseSize reads a whole number with an optional suffix. Decimal suffixes (kB, MB) and bare letters are refused,
// because people disagree on what they mean.
func ParseSize(text string) (Size, error) {
	number, unit := text, B
	for _, s := range suffixes {
		if rest, ok := strings.CutSuffix(text, s.name); ok {
			number, unit = strings.TrimSpace(rest), s.unit
			break
		}
	}
	n, err := strconv.ParseUint(number, 10, 63)
	if err != nil || Size(n) > math.MaxInt64/unit {
		return 0, fmt.Errorf("%q is not a size; write whole bytes or a number with KiB, MiB or GiB, like 64KiB", text)
	}
	return Size(n) * unit, nil
}

// String writes the size with the largest suffix that loses nothing: 65536 is 64KiB, 65537 is 65537B.
func (s Size) String() string {
	for _, suffix := range suffixes {
		if s != 0 && s%suffix.unit == 0 {
			return strconv.FormatInt(int64(s/suffix.unit), 10) + suffix.name
		}
	}
	return "0B"
}
