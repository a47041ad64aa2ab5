package plot

import "strconv"

// palette holds the colours of series, for light and dark ground. They are told apart by lightness too, and always carry a name.
var palette = [][2]string{
	{"#2a78d6", "#4a94ec"}, // blue
	{"#e0592a", "#e8733f"}, // orange
	{"#12976a", "#22b483"}, // green
	{"#6a4fc4", "#a091f0"}, // violet
	{"#c98a00", "#d9a21b"}, // amber
	{"#cf4d8a", "#e0709f"}, // pink
	{"#0f8fa8", "#2fb3cc"}, // teal
	{"#7a7f87", "#9aa0a8"}, // grey
}

// svgStyle makes a figure readable on either ground, alone or in a page.
var svgStyle = func() string {
	light, dark := "", ""
	for i, c := range palette {
		light += "--s" + strconv.Itoa(i) + ":" + c[0] + ";"
		dark += "--s" + strconv.Itoa(i) + ":" + c[1] + ";"
	}
	return `:root{--ground:#fff;--ink:#16191d;--soft:#5b626b;--grid:#e4e6e9;--rest:#b9bec5;` + light + `}
@media(prefers-color-scheme:dark){:root{--ground:#14171b;--ink:#e9ebee;--soft:#9aa2ac;--grid:#2b3037;--rest:#59616b;` + dark + `}}
.plot{font:12px system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif;font-variant-numeric:tabular-nums}
.plot text{fill:var(--soft)}
.plot .head{font-size:15px;font-weight:600;fill:var(--ink)}
.plot .value{fill:var(--ink)}
.plot .name{font-weight:600}
.plot .grid{stroke:var(--grid);stroke-width:1}
.plot .base{stroke:var(--rest);stroke-width:1}
.plot .line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.plot .wash{opacity:.1;stroke:none}
.plot .band{fill:var(--soft);opacity:.08}
.plot .mark{stroke:var(--soft);stroke-width:1;stroke-dasharray:2 3}
.plot .halo{paint-order:stroke;stroke:var(--ground);stroke-width:4px;stroke-linejoin:round}
.plot .spot{fill:transparent;stroke:none}
.plot .spot:hover{fill:var(--soft);fill-opacity:.5}
`
}()

const pageStyle = `*{box-sizing:border-box}
html{color-scheme:light dark;background:var(--ground);color:var(--ink)}
body{max-width:1180px;margin:0 auto;padding:40px 28px 64px;font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif}
body.whole{max-width:none;padding:24px}
h1{font-size:26px;line-height:1.2;margin:0 0 8px;letter-spacing:-.01em}
h2{font-size:18px;margin:48px 0 4px;letter-spacing:-.005em}
p{margin:0 0 12px;max-width:76ch;color:var(--soft)}
.facts{display:flex;flex-wrap:wrap;gap:16px 44px;margin:24px 0 0;padding:0}
.facts div{min-width:110px}
.facts dt{color:var(--soft);font-size:13px}
.facts dd{margin:0;font-size:24px;font-weight:600;letter-spacing:-.01em;line-height:1.3}
.facts .bad dd{color:var(--s1)}
.blocks{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,500px),1fr));gap:28px 36px;margin-top:16px;align-items:start}
.wide{grid-column:1/-1}
figure{margin:0;min-width:0}
figure svg{display:block;width:calc(100% + 8px);margin-left:-8px;height:auto}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:14px;font-variant-numeric:tabular-nums;min-width:50%}
caption{text-align:left;font-weight:600;font-size:15px;padding-bottom:6px}
th,td{padding:5px 20px 5px 0;text-align:left;border-bottom:1px solid var(--grid);vertical-align:top}
th{color:var(--soft);font-weight:500;font-size:13px}
td:first-child{white-space:nowrap}
td.n,th.n{text-align:right;white-space:nowrap}
td:last-child,th:last-child{padding-right:0}
@media print{body{max-width:none}figure{break-inside:avoid}}
`

// ink is the colour of series i. Beyond the palette everything is grey: more colours would not be told apart.
func ink(i int) string { return "var(--s" + strconv.Itoa(min(i, len(palette)-1)) + ")" }
