-- gnuplot: run as a child process; what users have written goes to it as data, never as code. SPDX-License-Identifier: MIT
--
-- Texts stand in single quotes, in which gnuplot interprets nothing, and terminals are told noenhanced. A quote within a text is joined to it as
-- a string of its own: the doubled quote of gnuplot's manual is misread by 5.4 where it comes first, and what follows becomes code. Line ends
-- and other control characters, which would end a command, become blanks.
local process = require "lsengine.c.process"
local public  = require "lsengine.public"

local gnuplot = {}

local MOST_MEGABYTES, SECONDS = 256, 120
local HINT = "the program gnuplot was not found (Debian: apt-get install gnuplot-nox)"

local found

-- True where gnuplot can be run.
function gnuplot.available()
  if found == nil then found = process.run("gnuplot", { "gnuplot", "--version" }, "", 1, 10) == 0 end
  return found
end

gnuplot.hint = HINT

-- One line of valid UTF-8 that XML can hold; at most `most` characters, the last one … where more were given.
function gnuplot.text(text, most)
  text = tostring(text):sub(1, 8 * (most or 400))
  local out, count, i = {}, 0, 1
  while i <= #text do
    local good = utf8.len(text, i, i)
    local code = good and utf8.codepoint(text, i) or 0xFFFD
    i = good and utf8.offset(text, 2, i) or i + 1
    if code == 0xFFFE or code == 0xFFFF then code = 0xFFFD end
    if code < 32 or code >= 127 and code < 160 or code == 0x2028 or code == 0x2029 then code = 32 end
    count = count + 1
    if most and count > most then
      out[most] = "…"
      break
    end
    out[count] = utf8.char(code)
  end
  return table.concat(out)
end

-- 'it'."'".'s'
local function quoted(text)
  local parts = {}
  for piece, quote in text:gmatch "([^']*)('?)" do
    if piece ~= "" then parts[#parts + 1] = "'" .. piece .. "'" end
    if quote ~= "" then parts[#parts + 1] = [["'"]] end
  end
  return #parts == 0 and "''" or table.concat(parts, ".")
end

-- A text as a gnuplot string.
function gnuplot.quote(text, most) return quoted(gnuplot.text(text, most)) end

-- The label of a tic: gnuplot formats it where it holds a per cent sign.
function gnuplot.tic(text, most) return (gnuplot.quote(text, most):gsub("%%", "%%%%")) end

-- A text broken into at most `lines` lines of `columns` characters, as an expression of gnuplot's.
function gnuplot.wrapped(text, columns, lines)
  local rest, parts = gnuplot.text(text, columns * lines), {}
  while #parts < lines - 1 and utf8.len(rest) > columns do
    local cut = utf8.offset(rest, columns + 1)
    local blank
    for at in rest:sub(1, cut):gmatch "() " do blank = at end
    if blank and blank > cut // 2 then
      parts[#parts + 1], rest = rest:sub(1, blank - 1), rest:sub(blank + 1)
    else
      parts[#parts + 1], rest = rest:sub(1, cut - 1), rest:sub(cut)
    end
  end
  parts[#parts + 1] = gnuplot.text(rest, columns)
  for i, part in ipairs(parts) do parts[i] = quoted(part) end
  return table.concat(parts, '."\\n".'), #parts
end

-- A number as gnuplot reads it; NaN for what cannot be drawn.
function gnuplot.number(x)
  if type(x) ~= "number" or x ~= x or math.abs(x) > 1e300 then return "NaN" end
  return ("%.9g"):format(x)
end

-- Runs a script; the picture that it writes to standard output.
function gnuplot.run(who, script)
  local code, output, messages = process.run(who, { "gnuplot", "--default-settings", "-" }, script, MOST_MEGABYTES, SECONDS)
  if not code then public.raise(who, output == "No such file or directory" and HINT or "gnuplot cannot be started: " .. output) end
  if code ~= 0 or #output == 0 then
    public.raise(who, ("gnuplot failed (exit code %d): %s"):format(code, gnuplot.text(messages:gsub("%s+", " "), 300)))
  end
  return output
end

return gnuplot
