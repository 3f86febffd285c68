"""The page's style: light and dark, on a phone and on paper. Colours of text have a contrast of 4.5 at least."""

CSS = """
:root{color-scheme:light dark;--text:#1f2328;--soft:#57606a;--back:#fff;--raised:#f6f8fa;--line:#d0d7de;
--link:#0550ae;--bad:#a40e26;--good:#116329;--focus:#0969da;--heat:180,45,15;
--run0:#0969da;--run1:#bc4c00;--run2:#1a7f37;--run3:#8250df;--run4:#8a6100;--run5:#0e7490;--run6:#bf3989;--run7:#57606a}
@media(prefers-color-scheme:dark){:root{--text:#e6edf3;--soft:#9da7b3;--back:#0d1117;--raised:#161b22;--line:#3d444d;
--link:#6cb6ff;--bad:#ff938a;--good:#57d57e;--focus:#6cb6ff;--heat:255,140,90;
--run0:#58a6ff;--run1:#f0883e;--run2:#56d364;--run3:#bc8cff;--run4:#e3b341;--run5:#39c5cf;--run6:#f778ba;--run7:#9da7b3}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:70rem;padding:1rem;font:1rem/1.5 system-ui,sans-serif;color:var(--text);
background:var(--back)}
h1{font-size:1.5rem;line-height:1.25;overflow-wrap:anywhere}
h2{font-size:1.2rem;margin:2.2rem 0 .6rem;border-bottom:1px solid var(--line);padding-bottom:.2rem}
h3{font-size:1rem;margin:1.4rem 0 .4rem;overflow-wrap:anywhere}
a{color:var(--link)}
nav ul{list-style:none;padding:0;display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;margin:.6rem 0}
nav a{display:inline-block;padding:.35rem 0}
.skip{position:absolute;left:-999rem}.skip:focus{position:static}
.note,.interval,caption{color:var(--soft);font-size:.9rem}
.scroll{overflow-x:auto;margin:.6rem 0}
:focus-visible{outline:3px solid var(--focus);outline-offset:2px}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.92rem}
caption{text-align:left;padding:.2rem 0}
th,td{padding:.3rem .7rem;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
thead th{background:var(--raised);white-space:nowrap}
td.number{text-align:right}
.facts td{overflow-wrap:anywhere;min-width:11rem}
.facts th{min-width:6rem}
.sortable thead th{padding:0}
.sortable button{all:unset;display:block;width:100%;box-sizing:border-box;padding:.45rem .7rem;cursor:pointer;
font-weight:600}
.sortable button:focus-visible{outline:3px solid var(--focus);outline-offset:-3px}
.sortable button::after{content:" \\2195";color:var(--soft)}
th[aria-sort=ascending] button::after{content:" \\2191";color:inherit}
th[aria-sort=descending] button::after{content:" \\2193";color:inherit}
.wrong td{overflow-wrap:anywhere;min-width:4rem;max-width:22rem}
.alignment{font-family:ui-monospace,monospace}
del{color:var(--bad);text-decoration:line-through}
ins{color:var(--good);text-decoration:underline;text-underline-offset:2px}
input{font:inherit;color:inherit;background:var(--back);border:1px solid var(--soft);border-radius:4px;
padding:.35rem .5rem;max-width:100%}
details{margin:.4rem 0}summary{cursor:pointer;padding:.35rem 0;overflow-wrap:anywhere}
td details{margin:0}td summary{padding:0 .5rem 0 0;min-width:4rem}
figure{margin:0;min-width:0}figcaption{font-weight:600;font-size:.92rem;overflow-wrap:anywhere}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,25rem),1fr));gap:1rem}
.charts.wide{display:block}.charts.wide figure{overflow-x:auto;margin-bottom:1rem}
svg{max-width:100%;height:auto;display:block}svg.heat{max-width:none}
svg text{font:12px system-ui,sans-serif;fill:var(--text)}svg text.axis{fill:var(--soft)}
.grid{stroke:var(--line);fill:none}.frame{fill:none;stroke:var(--line)}
.line{fill:none;stroke-width:2;stroke:var(--run)}circle.line{fill:var(--run)}.dashed{stroke-dasharray:5 4}
.run0{--run:var(--run0)}.run1{--run:var(--run1)}.run2{--run:var(--run2)}.run3{--run:var(--run3)}
.run4{--run:var(--run4)}.run5{--run:var(--run5)}.run6{--run:var(--run6)}.run7{--run:var(--run7)}
.run{display:inline-block;min-width:1.5em;text-align:center;border-radius:4px;padding:0 .3em;font-weight:700;
border:2px solid var(--run)}
.level1{fill:rgba(var(--heat),.12)}.level2{fill:rgba(var(--heat),.24)}.level3{fill:rgba(var(--heat),.36)}
.level4{fill:rgba(var(--heat),.48)}.level5{fill:rgba(var(--heat),.62)}.level6{fill:rgba(var(--heat),.76)}
.level7{fill:rgba(var(--heat),.88)}.level8{fill:rgb(var(--heat))}
svg text.on{fill:var(--back);font-weight:700}
@media(max-width:40rem){body{padding:.7rem}th,td{padding:.3rem .45rem}.facts td{min-width:9rem}}
@media print{body{max-width:none;font-size:10pt}nav,.skip,input,label{display:none}
.scroll,.charts.wide figure{overflow:visible}
h2,h3,figcaption{break-after:avoid}figure,tr{break-inside:avoid}.sortable button::after{content:""}}
"""
