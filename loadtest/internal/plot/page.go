package plot

import (
	"fmt"
	"html"
	"io"
	"os"
	"strings"
)

// Page is one HTML file.
type Page struct {
	Title    string
	Lead     string // a paragraph or several, parted by empty lines
	Facts    []Fact // what matters most, in large type
	Sections []Section
	Wide     bool // it takes the whole width of the window
}

// Fact is a figure that is read first.
type Fact struct {
	Name, Value string
	Bad         bool // it is not as it should be
}

// Section is a part of a page under its own heading.
type Section struct {
	Title, Text string // either may be empty
	Blocks      []Block
	Columns     int // of which Placed blocks take some; 0: as many blocks side by side as there is room for
}

// Block is what a section is made of: a Figure or a Table.
type Block interface {
	html(b *strings.Builder)
}

// Figure is a block that is one SVG: Lines, Percentiles or Bars.
type Figure interface {
	Block
	svg(b *strings.Builder, style string)
}

// Placed is a figure that has a place in a Section with Columns.
type Placed struct {
	Figure  Figure
	Column  int // where it begins, from 0
	Columns int // how many it takes
}

func (p Placed) html(b *strings.Builder) {
	fmt.Fprintf(b, "<figure style=\"grid-column:%d/span %d\">\n", p.Column+1, p.Columns)
	p.Figure.svg(b, "")
	b.WriteString("</figure>\n")
}

// Write writes the page.
func (p *Page) Write(w io.Writer) error {
	var b strings.Builder
	title, class := html.EscapeString(p.Title), ""
	if p.Wide {
		class = ` class="whole"`
	}
	b.WriteString("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n" +
		"<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>" + title + "</title>\n" +
		"<style>\n" + svgStyle + pageStyle + "</style>\n</head>\n<body" + class + ">\n<header>\n<h1>" + title + "</h1>\n")
	paragraphs(&b, p.Lead)
	if len(p.Facts) > 0 {
		b.WriteString("<dl class=\"facts\">\n")
		for _, f := range p.Facts {
			class := ""
			if f.Bad {
				class = ` class="bad"`
			}
			fmt.Fprintf(&b, "<div%s><dt>%s</dt><dd>%s</dd></div>\n", class, html.EscapeString(f.Name), html.EscapeString(f.Value))
		}
		b.WriteString("</dl>\n")
	}
	b.WriteString("</header>\n<main>\n")
	for _, s := range p.Sections {
		s.html(&b)
	}
	b.WriteString("</main>\n</body>\n</html>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteFile writes the page to path.
func (p *Page) WriteFile(path string) error {
	return writeFile(path, p.Write)
}

// WriteSVG writes f to path as a file of its own, which follows the light or dark setting of whoever shows it.
func WriteSVG(path string, f Figure) error {
	return writeFile(path, func(w io.Writer) error {
		var b strings.Builder
		f.svg(&b, "<style>"+svgStyle+"</style>")
		_, err := io.WriteString(w, b.String())
		return err
	})
}

func (s *Section) html(b *strings.Builder) {
	b.WriteString("<section>\n")
	if s.Title != "" {
		b.WriteString("<h2>" + html.EscapeString(s.Title) + "</h2>\n")
	}
	paragraphs(b, s.Text)
	style := ""
	if s.Columns > 0 {
		style = fmt.Sprintf(" style=\"grid-template-columns:repeat(%d,minmax(0,1fr));column-gap:8px\"", s.Columns)
	}
	b.WriteString("<div class=\"blocks\"" + style + ">\n")
	for _, block := range s.Blocks {
		block.html(b)
	}
	b.WriteString("</div>\n</section>\n")
}

func paragraphs(b *strings.Builder, text string) {
	for part := range strings.SplitSeq(text, "\n\n") {
		if part != "" {
			b.WriteString("<p>" + html.EscapeString(part) + "</p>\n")
		}
	}
}

func figure(b *strings.Builder, f Figure) {
	b.WriteString("<figure>\n")
	f.svg(b, "")
	b.WriteString("</figure>\n")
}

func writeFile(path string, write func(io.Writer) error) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := write(file); err != nil {
		_ = file.Close() // the first error is the one to tell
		return err
	}
	return file.Close()
}
