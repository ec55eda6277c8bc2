-- A figure: a script for gnuplot and its data; a plot: what users hold of it. SPDX-License-Identifier: MIT
local files   = require "lsengine.c.files"
local options = require "lsengine.options"
local public  = require "lsengine.public"
local gnuplot = require "lsengine.gnuplot"
local palette = require "lsengine.palette"
local svg     = require "lsengine.svg"
local raise   = public.raise

local Plot = {}
Plot.__index, Plot.__name = Plot, "plot"
options.type("plot", function(v) return getmetatable(v) == Plot end, "a plot (what ls.plot's functions give)")

local MOST_NUMBERS = 2000000

-- A figure of width × height pixels (of a screen with 96 to the inch). Lines hold $DATA where the data's name goes.
local Figure = {}
Figure.__index = Figure

local function new(who, o)
  local f = setmetatable({ who = who, width = o.width or 600, height = o.height or 400, title = o.title, description = o.description or "", lines = {}, data = {}, blocks = 0, numbers = 0 }, Figure)
    f:add("set encoding utf8")
  f:add("set datafile missing '?'")
  f:add("set border 3 back lw 0.75 lc rgb '%s'", palette.muted)
  f:add("set tics nomirror out scale 0.5 tc rgb '%s'", palette.ink)
  f:add("set grid back lt 1 lw 0.5 lc rgb '%s'", palette.grid)
  f:add("set key noenhanced tc rgb '%s' samplen 2.5 spacing 1.15", palette.ink)
  f:add("set key tmargin center horizontal Left reverse")
  f:add("set style fill solid 0.25 noborder")
  f.columns = f.width // 9
  if o.title and o.title ~= "" then
    f.title_text, f.title_lines = gnuplot.wrapped(o.title, f.columns, 3)
  end
  return f
end

-- A line of the script; arguments must be numbers of ours, colours, or texts that gnuplot.quote has made.
function Figure:add(line, ...)
  self.lines[#self.lines + 1] = line:format(...)
end

function Figure:labels(x, y)
  if x then self:add("set xlabel %s tc rgb '%s'", gnuplot.quote(x, 100), palette.ink) end
  if y then self:add("set ylabel %s tc rgb '%s'", gnuplot.quote(y, 100), palette.ink) end
end

function Figure:show_title()
  if self.title_text then self:add("set title %s noenhanced tc rgb '%s'", self.title_text, palette.ink) end
end

-- Rows of numbers as a block of data: what a plot command calls it.
function Figure:block(rows)
  if self.blocks > 0 then self.data[#self.data + 1] = "\n" end
  for _, row in ipairs(rows) do
    local cells = {}
    for i = 1, row.n or #row do cells[i] = gnuplot.number(row[i]) end
    self.numbers = self.numbers + #cells
    self.data[#self.data + 1] = table.concat(cells, " ")
  end
  if self.numbers > MOST_NUMBERS then raise(self.who, ("more than %d numbers cannot be drawn"):format(MOST_NUMBERS)) end
  if #rows == 0 then self.data[#self.data + 1] = "NaN NaN NaN NaN NaN" end
  self.blocks = self.blocks + 1
  return ("$DATA index %d"):format(self.blocks - 1)
end

-- The plot command of several items, each a text.
function Figure:draw(items) self.lines[#self.lines + 1] = "plot " .. table.concat(items, ", \\\n     ") end

-- The figure as a plot, nothing of which changes any more.
function Figure:done()
  return setmetatable({ figure = self, title = gnuplot.text(self.title or "", 400), description = self.description }, Plot)
end

local function terminal(figure, kind)
  local w, h = figure.width, figure.height
  local font = "font 'DejaVu Sans,11'"
  if kind == "svg" then return ("set terminal svg noenhanced size %d,%d %s background rgb '%s'"):format(w, h, font, palette.paper) end
  if kind == "pdf" then return ("set terminal pdfcairo noenhanced size %.4fin,%.4fin font 'DejaVu Sans,8.5' rounded"):format(w / 96, h / 96) end
  return ("set terminal pngcairo noenhanced size %d,%d font 'DejaVu Sans,9' fontscale 2 linewidth 2 pointscale 1.6 background rgb '%s'"):format(2 * w, 2 * h, palette.paper)
end

-- The whole script; the data within it, or in a file.
local function script(figure, kind, output, data_file)
  local out = { terminal(figure, kind) }
  local body = table.concat(figure.lines, "\n")
  if output then out[#out + 1] = "set output " .. gnuplot.quote(output) end
  if not data_file then out[#out + 1] = "$data << END_OF_DATA\n" .. table.concat(figure.data, "\n") .. "\nEND_OF_DATA" end
  if data_file then out[#out + 1] = "file = " .. gnuplot.quote(data_file) end
  local name = data_file and "file" or "$data"
  out[#out + 1] = body:gsub("%$DATA index", function() return name .. " index" end)
  if output then out[#out + 1] = "unset output" end
  return table.concat(out, "\n") .. "\n"
end

local kinds = { svg = true, pdf = true, png = true }

local function picture(plot, who, kind, standalone, prefix)
  local figure = plot.figure
  local text = script(figure, kind)
  local bytes = gnuplot.run(who, text)
  if kind ~= "svg" then return bytes end
  return svg.finish(bytes, { title = plot.title, description = plot.description, width = figure.width, height = figure.height, standalone = standalone,
    prefix = prefix or "p" .. svg.hash(text) })
end

Plot.svg = public("plot:svg", {
  doc = [[The picture as the text of an <svg> element, to be put into a page: names (ids) in it begin with `prefix`, so that several plots can stand in one page. It has a paper
of its own (a first <rect>), light or dark as the reader prefers, and asks nothing of any other file.]],
  returns = "a string", errors = "gnuplot is missing",
  options = { prefix = { type = "string", doc = "letters, digits, _ and -, a letter first; made from the plot's contents unless given" } },
}, function(self, o)
  if o.prefix and (#o.prefix > 64 or not o.prefix:find "^%a[%w_-]*$") then raise("svg", "prefix must be letters, digits, _ and -, a letter first, at most 64") end
  return picture(self, "svg", "svg", false, o.prefix)
end)

Plot.save = public("plot:save", {
  doc = [[Writes the picture: SVG (light or dark as the reader prefers), PDF or PNG (twice the size, for sharp screens), by the file's ending. With `keep`, the script for gnuplot
and its data are written beside it (figure.svg: figure.gnuplot and figure.dat): `gnuplot figure.gnuplot`, run in that folder, draws it again, to be changed for a paper. gnuplot's own SVG has no dark mode.]],
  returns = "nothing", errors = "another ending, gnuplot is missing, a file that cannot be written",
  { "file", type = "string", doc = "path that ends in .svg, .pdf or .png" },
  options = { keep = { type = "boolean", default = false, doc = "write the script and the data, too" } },
}, function(self, file, o)
  local base, kind = file:match "^(.+)%.(%a+)$"
  kind = kind and kind:lower()
  if not kinds[kind] then raise("save", ("the file is \"%s\", a name that ends in .svg, .pdf or .png is required"):format(gnuplot.text(file, 100))) end
  if o.keep and file:find "%c" then raise("save", "keep: the file's name holds a control character, which no script for gnuplot can name") end
  local bytes = picture(self, "save", kind, true)
  files.write("save", file, bytes)
  if not o.keep then return end
  local name, data_name = file:match "[^/]*$", base:match "[^/]*$" .. ".dat"
  files.write("save", base .. ".dat", table.concat(self.figure.data, "\n") .. "\n")
  files.write("save", base .. ".gnuplot", ("# gnuplot %s, in this folder, draws %s from %s.\n"):format(gnuplot.text(data_name:gsub("%.dat$", ".gnuplot")), gnuplot.text(name), gnuplot.text(data_name))
    .. script(self.figure, kind, name, data_name))
end)

function Plot:__tostring()
  return ("a plot%s: :save \"figure.svg\" writes it"):format(self.title ~= "" and (" \"%s\""):format(gnuplot.text(self.title, 60)) or "")
end

-- The options that all plots take, beside their own.
local function common(own)
  own.title = { type = "string", doc = "above the picture" }
  own.width = { type = "integer", min = 200, max = 4000, doc = "pixels" }
  own.height = { type = "integer", min = 150, max = 4000, doc = "pixels" }
  return own
end

return { new = new, common = common, finite = function(x) return type(x) == "number" and x == x and math.abs(x) <= 1e300 end }
