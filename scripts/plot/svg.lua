-- What gnuplot writes as SVG, made fit for pages: dark mode, unique names, nothing superfluous. SPDX-License-Identifier: MIT
--
-- gnuplot writes colours into each element. They stay, for programs that know no style sheets; a style sheet, which overrides such attributes,
-- gives each its dark twin where the reader prefers dark. Only what stands between < and > is touched: texts are escaped by gnuplot.
local gnuplot = require "lsengine.gnuplot"
local palette = require "lsengine.palette"

local svg = {}

local FONTS = "DejaVu Sans,Verdana,Helvetica,Arial,sans-serif"

-- A text as HTML and XML show it, in elements and in attributes.
function svg.escape(text)
  return (gnuplot.text(text):gsub('[&<>"\']', { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }))
end

local style
local function style_sheet()
  if style then return style end
  local out, colours = { "@media screen and (prefers-color-scheme:dark){" }, {}
  for colour in pairs(palette.dark) do colours[#colours + 1] = colour end
  table.sort(colours)
  for _, colour in ipairs(colours) do
    for _, attribute in ipairs{ "fill", "stroke", "color" } do
      out[#out + 1] = (".lsplot [%s='%s']{%s:%s}"):format(attribute, colour, attribute, palette.dark[colour])
    end
  end
  out[#out + 1] = "}"
  style = table.concat(out)
  return style
end

-- 16 hexadecimal digits over a text: FNV-1a.
function svg.hash(text)
  local hash = -3750763034362895579 -- 14695981039346656037
  for i = 1, #text do hash = (hash ~ text:byte(i)) * 1099511628211 end
  return ("%016x"):format(hash)
end

local function tag(text, prefix)
  text = text:gsub("rgb%(%s*(%d+),%s*(%d+),%s*(%d+)%)", function(r, g, b) return ("#%02x%02x%02x"):format(tonumber(r), tonumber(g), tonumber(b)) end)
  text = text:gsub("%s+=%s+", "="):gsub("([\"'])black%1", function(q) return q .. palette.ink .. q end)
  text = text:gsub("#FFFFFF", palette.paper):gsub(" font%-family=\"[^\"]*\"", ""):gsub("%s+(/?>)$", "%1")
  text = text:gsub("id=(['\"])([%w_]+)%1", "id=%1" .. prefix .. "-%2%1"):gsub("href=(['\"])#([%w_]+)%1", "href=%1#" .. prefix .. "-%2%1")
  return (text:gsub("url%(#([%w_]+)%)", "url(#" .. prefix .. "-%1)"))
end

-- Symbols that nobody uses; a symbol may use another.
local function drop_unused(defs, body)
  local items = {}
  for element, name in defs:gmatch "(<%w+[^>]-id='([%w_-]+)'[^>]*/>)" do items[#items + 1] = { element, name } end
  for i = #items, 1, -1 do
    local target = "href='#" .. items[i][2] .. "'"
    local used = body:find(target, 1, true)
    for j = i + 1, #items do used = used or items[j] and items[j][1]:find(target, 1, true) end
    if not used then table.remove(items, i) end
  end
  for i, item in ipairs(items) do items[i] = item[1] end
  return #items == 0 and "" or "<defs>" .. table.concat(items) .. "</defs>\n"
end

-- raw: what gnuplot wrote. o: title, description, width, height, prefix (of ids), standalone (a file of its own).
function svg.finish(raw, o)
  local body = raw:match '<g id="gnuplot_canvas">(.*)</g>%s*</svg>'
  local defs = body:match "<defs>(.-)</defs>" or ""
  local prefix = o.prefix
  body = body:gsub("<defs>.-</defs>", ""):gsub("<title>gnuplot_plot_%d+%w*</title>", "")
  defs = defs:gsub("<filter.-</filter>", "")
  body, defs = body:gsub("<[^>]*>", function(t) return tag(t, prefix) end), defs:gsub("<[^>]*>", function(t) return tag(t, prefix) end)
  local changed
  repeat body, changed = body:gsub("<g [^>]*>%s*</g>\n?", "") until changed == 0
  body = body:gsub("\n[\t ]+", "\n"):gsub("\n+", "\n")
  local title, description = svg.escape(o.title), svg.escape(o.description)
  return table.concat{
    o.standalone and '<?xml version="1.0" encoding="utf-8"?>\n' or "",
    ('<svg class="lsplot" xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-label="%s" '):format(
      o.width, o.height, o.width, o.height, title),
    ('font-family="%s" style="max-width:100%%;height:auto">\n'):format(FONTS),
    ("<title>%s</title>\n"):format(title), description ~= "" and ("<desc>%s</desc>\n"):format(description) or "",
    ("<style>%s</style>\n"):format(style_sheet()), drop_unused(defs, body), body, "</svg>\n",
  }
end

return svg
