package config

import "strings"

// nearest returns the known name that the typed one was most likely meant to be; known is not empty. A name without
// its section (interval) counts as the first known one that ends in it.
func nearest(typed string, known []string) string {
	best, least := "", 0
	for _, name := range known {
		if strings.HasSuffix(name, "."+typed) {
			return name
		}
		if d := distance(strings.ToLower(typed), strings.ToLower(name)); best == "" || d < least {
			best, least = name, d
		}
	}
	return best
}

// distance is Levenshtein's: the insertions, deletions and replacements of single bytes that turn a into b.
func distance(a, b string) int {
	row := make([]int, len(b)+1) // row[j]: distance of a's first i bytes to b's first j
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
