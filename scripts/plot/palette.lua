-- Colours of plots. SPDX-License-Identifier: MIT
--
-- Okabe and Ito's (2008), without yellow, which white paper swallows; each with its twin for dark paper. Curves differ by stroke and marker,
-- too, so that a grey print can be read.
local palette = { ink = "#1a1a1a", muted = "#66666c", grid = "#dcdce0", paper = "#ffffff" }

palette.colours = { "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#1a1a1a" }
palette.dark = {
  ["#1a1a1a"] = "#e9e9ec", ["#66666c"] = "#a3a3ab", ["#dcdce0"] = "#3b3c44", ["#ffffff"] = "#17181c",
  ["#0072b2"] = "#4aa8e0", ["#d55e00"] = "#ff8b3d", ["#009e73"] = "#35c99b", ["#cc79a7"] = "#e59cc4", ["#e69f00"] = "#f5bd4f", ["#56b4e9"] = "#a5dbf8",
}

local strokes = { "1", "(12,6)", "(3,5)", "(14,5,3,5)", "(20,8)", "(8,4,3,4,3,4)", "(6,8)" }
local markers = { 7, 5, 9, 13, 11, 6, 4 } -- full circle, square, triangles, diamond; hollow circle and square

-- Colour, dash type and point type of the i-th curve.
function palette.style(i)
  local n = #palette.colours
  local k, round = (i - 1) % n + 1, (i - 1) // n
  return palette.colours[k], strokes[(k + 2 * round - 1) % n + 1], markers[(k + 3 * round - 1) % n + 1]
end

return palette
