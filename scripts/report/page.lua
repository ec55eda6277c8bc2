-- A report as one HTML file: sections of tables and figures. SPDX-License-Identifier: MIT
--
-- A part is a table: { name =, title =, intro =, measures = { { label, value, interval, note }… }, tables = { { caption =, columns =, rows =,
-- folded = }… }, figures = { { plot, caption }… }, notes = { text… } }; all texts are plain, and are escaped here. The file asks for nothing
-- else: styles and figures are in it, scripts are not.
local gnuplot = require "lsengine.gnuplot"
local svg     = require "lsengine.svg"
local escape  = svg.escape

local page = {}

local STYLE = [[
:root{color-scheme:light dark;--ink:#1a1a1a;--muted:#5f5f66;--paper:#fff;--sheet:#f5f5f7;--line:#dcdce0;--accent:#0072b2}
@media screen and (prefers-color-scheme:dark){:root{--ink:#e9e9ec;--muted:#a3a3ab;--paper:#17181c;--sheet:#202127;--line:#3b3c44;--accent:#4aa8e0}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,"DejaVu Sans",Verdana,Arial,sans-serif}
main{max-width:1080px;margin:0 auto;padding:1.5rem 1rem 4rem}
h1{font-size:1.6rem;line-height:1.25;margin:.2rem 0 .6rem;overflow-wrap:anywhere}
h2{font-size:1.2rem;margin:2.6rem 0 .4rem;padding-top:.9rem;border-top:1px solid var(--line)}
p{margin:.4rem 0 .8rem;max-width:46rem}
.muted,figcaption,caption,.note{color:var(--muted);font-size:.875rem}
nav{display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;font-size:.9rem;margin:.8rem 0}
a{color:var(--accent)}
.key{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.7rem;margin:1.2rem 0}
.key div{background:var(--sheet);border-radius:8px;padding:.7rem .9rem}
.key b{display:block;font-size:1.45rem;font-variant-numeric:tabular-nums;font-weight:600}
.key span{color:var(--muted);font-size:.8125rem;display:block}
.scroll{overflow-x:auto;margin:.6rem 0 1rem}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
caption{text-align:left;padding:.2rem 0}
th,td{padding:.28rem .9rem .28rem 0;text-align:left;border-bottom:1px solid var(--line);vertical-align:baseline}
th{font-weight:600}td.n,th.n{text-align:right;white-space:nowrap}
.figures{display:flex;flex-wrap:wrap;gap:1.2rem;align-items:flex-start}
figure{margin:.6rem 0;max-width:100%;break-inside:avoid}
figure svg{display:block;max-width:100%;height:auto}
figcaption{max-width:32rem}
summary{cursor:pointer;color:var(--accent);font-size:.9rem;padding:.3rem 0}
.notes{background:var(--sheet);border-left:3px solid var(--accent);padding:.5rem .9rem;margin:1rem 0}
.notes p{margin:.2rem 0}
@media(max-width:600px){main{padding:1rem .8rem 3rem}.note{display:none}th,td{padding-right:.6rem}h1{font-size:1.3rem}}
@media print{details::details-content{content-visibility:visible;block-size:auto}summary{color:var(--muted)}body{font-size:11pt}main{max-width:none;padding:0}nav{display:none}h2,h2+p,thead,tr:nth-child(-n+3){break-after:avoid}h2+p,tr,.key div{break-inside:avoid}.key div,.notes{border:1px solid var(--line)}a{color:inherit;text-decoration:none}th.n,td.n{white-space:normal}table{font-size:.8rem}.figures{gap:.6rem}.figures figure{max-width:48%}}]]

local function cell(value, tag, numeric) return ("<%s%s>%s</%s>"):format(tag, numeric and ' class="n"' or "", escape(value or ""), tag) end

local function is_number(text) return text == nil or text == "" or tostring(text):find "^[+<-]?[%d.]" ~= nil or text == "-" or text == "nan" or text == "inf" end

local function html_table(t)
  local out, numeric = { '<div class="scroll"><table>' }, {}
  for c = 1, #t.columns do
    numeric[c] = c > 1 and #t.rows > 0
    for _, row in ipairs(t.rows) do numeric[c] = numeric[c] and is_number(row[c]) end
  end
  if t.caption then out[#out + 1] = "<caption>" .. escape(t.caption) .. "</caption>" end
  out[#out + 1] = "<thead><tr>"
  for c, name in ipairs(t.columns) do out[#out + 1] = cell(name, "th", numeric[c]) end
  out[#out + 1] = "</tr></thead><tbody>"
  for _, row in ipairs(t.rows) do
    out[#out + 1] = "<tr>"
    for c = 1, #t.columns do out[#out + 1] = cell(row[c], "td", numeric[c]) end
    out[#out + 1] = "</tr>\n"
  end
  out[#out + 1] = "</tbody></table></div>"
  local text = table.concat(out)
  if t.folded then text = ("<details><summary>%s</summary>%s</details>"):format(escape(t.folded), text) end
  return text
end
page.table = html_table

local function measures_table(measures)
  local intervals = false
  for _, m in ipairs(measures) do intervals = intervals or m[3] ~= nil end
  local out = { ('<div class="scroll"><table><thead><tr><th>measure</th><th class="n">value</th>%s<th class="note">what it is</th></tr></thead><tbody>'):format(
    intervals and '<th class="n">95 % interval</th>' or "") }
  for _, m in ipairs(measures) do
    out[#out + 1] = ('<tr>%s%s%s<td class="note">%s</td></tr>\n'):format(cell(m[1], "td"), cell(m[2], "td", true), intervals and cell(m[3], "td", true) or "", escape(m[4] or ""))
  end
  out[#out + 1] = "</tbody></table></div>"
  return table.concat(out)
end

local function figure(entry, prefix)
  local plot, caption = entry[1], entry[2]
  return ("<figure>%s<figcaption>%s</figcaption></figure>"):format(plot:svg{ prefix = prefix }, escape(caption))
end

-- One part as a section. Figures are left out where gnuplot is missing.
function page.section(part, with_figures)
  local out = { ('<section id="%s"><h2>%s</h2>'):format(part.name, escape(part.title)) }
  if part.intro then out[#out + 1] = "<p>" .. escape(part.intro) .. "</p>" end
  if part.measures and #part.measures > 0 then out[#out + 1] = measures_table(part.measures) end
  if with_figures and part.figures and #part.figures > 0 then
    out[#out + 1] = '<div class="figures">'
    for i, entry in ipairs(part.figures) do out[#out + 1] = figure(entry, part.name .. i) end
    out[#out + 1] = "</div>"
  end
  for _, t in ipairs(part.tables or {}) do out[#out + 1] = html_table(t) end
  for _, note in ipairs(part.notes or {}) do out[#out + 1] = '<p class="muted">' .. escape(note) .. "</p>" end
  out[#out + 1] = "</section>"
  return table.concat(out, "\n")
end

-- The whole file. o: title, subtitle, key = { { value, label }… } (the numbers that matter most), notes, parts, foot.
function page.html(o)
  local with_figures = gnuplot.available()
  local out = {
    '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">',
    ("<meta name=\"generator\" content=\"lsengine %s\"><meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\"><link rel=\"icon\" href=\"data:,\">"):format(escape(require "lsengine.c.program".versions().lsengine)),
    ("<title>%s</title><style>%s</style></head><body><main>"):format(escape(o.title), STYLE),
    ("<h1>%s</h1><p class=\"muted\">%s</p>"):format(escape(o.title), escape(o.subtitle)), '<nav aria-label="sections">',
  }
  for _, part in ipairs(o.parts) do out[#out + 1] = ('<a href="#%s">%s</a>'):format(part.name, escape(part.title)) end
  out[#out + 1] = '</nav><div class="key">'
  for _, k in ipairs(o.key) do out[#out + 1] = ("<div><span>%s</span><b>%s</b><span>%s</span></div>"):format(escape(k[1]), escape(k[2]), escape(k[3] or "")) end
  out[#out + 1] = "</div>"
  local notes = { table.unpack(o.notes or {}) }
  if not with_figures then notes[#notes + 1] = "Figures were left out: " .. gnuplot.hint .. "." end
  if #notes > 0 then
    out[#out + 1] = '<div class="notes">'
    for _, note in ipairs(notes) do out[#out + 1] = "<p>" .. escape(note) .. "</p>" end
    out[#out + 1] = "</div>"
  end
  for _, part in ipairs(o.parts) do out[#out + 1] = page.section(part, with_figures) end
  out[#out + 1] = ('<p class="muted">%s</p></main></body></html>\n'):format(escape(o.foot or ""))
  return table.concat(out, "\n"), with_figures
end

return page
