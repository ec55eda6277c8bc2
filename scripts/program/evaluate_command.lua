-- `lsengine evaluate`: predictions of any framework, judged on the terminal, as JSON, and as a report. SPDX-License-Identifier: MIT
local cjson   = require "lsengine.c.json"
local files   = require "lsengine.c.files"
local input   = require "lsengine.evaluate_input"
local page    = require "lsengine.page"
local parts   = require "lsengine.judging_parts"
local raw     = require "lsengine.c.tensor"
local system  = require "lsengine.c.system"
local number  = parts.number

local command = {}

local function path_of(text) return text ~= "" and text or nil, "a file" end

command.options = {
  { "logits", "FILE", "logits, N×K: .npy, .npz (FILE:member), .csv", path_of },
  { "probabilities", "FILE", "probabilities in place of logits", path_of },
  { "labels", "FILE", "N integers, 0 … K-1", path_of },
  { "embeddings", "FILE", "features, N×D, of the same rows", path_of },
  { "gallery", "FILE", "embeddings that are searched in place of these", path_of },
  { "gallery-labels", "FILE", "their labels", path_of },
  { "compare", "FILE", "another model's logits (or probabilities, as above) of the same rows", path_of },
  { "class-names", "FILE", "a text file, one name a line", path_of },
  { "report", "FOLDER", "writes report.html there", path_of },
  { "json", nil, "prints JSON, and nothing else" },
  { "threads", "N", "threads, the calling one included; all processors unless given", function(text)
    local n = text:match "^%d+$" and math.tointeger(text)
    return n and n >= 1 and n <= 256 and n or nil, "a whole number from 1 to 256"
  end },
}

-- What is wrong with the flags, or nil.
function command.problem(found, rest)
  if #rest > 0 then return ("evaluate takes options alone, %s is none: lsengine evaluate --logits logits.npy --labels labels.npy"):format(rest[1]) end
  if found.logits and found.probabilities then return "evaluate: --logits or --probabilities, not both" end
  if not found.logits and not found.probabilities and not found.embeddings then return "evaluate needs --logits or --probabilities (or --embeddings alone): lsengine evaluate --logits logits.npy --labels labels.npy" end
  if not found.labels then return "evaluate needs --labels" end
  if (found.gallery ~= nil) ~= (found["gallery-labels"] ~= nil) then return "evaluate: --gallery and --gallery-labels belong together" end
  if found.gallery and not found.embeddings then return "evaluate: --gallery needs --embeddings, the queries" end
  if found.compare and not (found.logits or found.probabilities) then return "evaluate: --compare needs --logits or --probabilities" end
  if found["class-names"] and not (found.logits or found.probabilities) then return "evaluate: --class-names needs --logits or --probabilities" end
end

-- Everything read and checked before anything is computed.
local function read(found)
  local d = { files = {}, notes = {} }
  local rows, of, classes
  if found.logits or found.probabilities then
    local note
    d.probabilities = found.probabilities ~= nil
    d.z, d.name, note = (d.probabilities and input.probabilities or input.logits)(found.logits or found.probabilities)
    d.notes[1] = note
    rows, of, classes = raw.size(d.z, 1), d.name, raw.size(d.z, 2)
    d.logits = d.probabilities and raw.log(raw.maximum(d.z, 2.0^-149)) or d.z
  end
  if found.embeddings then
    local name
    d.embeddings, name = input.embeddings(found.embeddings, { "embeddings", "features" })
    d.name = d.name or name
    if rows and raw.size(d.embeddings, 1) ~= rows then input.fail("%s has %d rows, %s has %d", of, rows, name, raw.size(d.embeddings, 1)) end
    rows, of = rows or raw.size(d.embeddings, 1), of or name
  end
  d.y, d.labels_name = input.labels(found.labels, rows, of, classes)
  d.rows, d.classes = rows, classes
  if found.gallery then
    local name
    d.gallery, name = input.embeddings(found.gallery, { "gallery", "embeddings", "features" })
    if raw.size(d.gallery, 2) ~= raw.size(d.embeddings, 2) then input.fail("the embeddings have %d columns, %s has %d", raw.size(d.embeddings, 2), name, raw.size(d.gallery, 2)) end
    d.gallery_labels = input.labels(found["gallery-labels"], raw.size(d.gallery, 1), name, nil, { "gallery_labels", "labels", "targets", "y" })
  end
  if found.compare then
    local note
    d.other, d.other_name, note = (d.probabilities and input.probabilities or input.logits)(found.compare)
    d.notes[#d.notes + 1] = note
    if raw.size(d.other, 1) ~= rows or raw.size(d.other, 2) ~= classes then
      input.fail("%s is %d×%d, %s is %d×%d", d.name, rows, classes, d.other_name, raw.size(d.other, 1), raw.size(d.other, 2))
    end
    if d.probabilities then d.other = raw.log(raw.maximum(d.other, 2.0^-149)) end
  end
  if found["class-names"] then d.names = input.class_names(found["class-names"], classes) end
  return d
end

local function judge(d)
  local list, json, key = {}, { rows = d.rows, classes = d.classes, lsengine = require "lsengine.c.program".versions().lsengine, notes = d.notes }, {}
  local function add(name, part, numbers) list[#list + 1], json[name] = part, numbers end
  local function missing(what) d.notes[#d.notes + 1] = what .. " are not offered by this version" end
  if d.z then
    local part, numbers, r = parts.classification(d)
    add("classification", part, numbers)
    key[1] = { "accuracy", number(r.accuracy), ("%s to %s"):format(number(r.accuracy_low), number(r.accuracy_high)) }
    key[2] = { "NLL", number(r.nll), "nats" }
    part, numbers, r = parts.calibration(d)
    add("calibration", part, numbers)
    key[3] = { "ECE", number(r.ece), "null level " .. number(r.ece_null) }
    key[4] = { "ECE, debiased", number(r.ece_debiased), ("%s by %.4f"):format(r.confidence_gap > 0 and "overconfident" or "underconfident", math.abs(r.confidence_gap)) }
    part, numbers = parts.selective(d)
    add("selective", part, numbers)
    key[5] = { "AURC", number(numbers.max_probability.aurc), "by maximum probability" }
  end
  if d.other then
    if parts.offered "compare" then add("comparison", parts.comparison(d, d.other, d.other_name)) else missing "comparisons of two models" end
  end
  if d.embeddings then
    if parts.offered "clustering" then add("representation", parts.representation(d)) else missing "measures of representations" end
    if parts.offered "retrieval" then
      local part, numbers = parts.retrieval(d)
      add("retrieval", part, numbers)
      key[#key + 1] = { "recall@1", number(numbers.recall["1"] or numbers.recall[1]), "cosine" }
    else
      missing "measures of retrieval"
    end
  end
  return list, json, key
end

-- ---- the terminal ----

local function width_of(text) return utf8.len(text) or #text end

local function print_rows(rows, columns)
  local widths = {}
  for _, row in ipairs{ columns, table.unpack(rows) } do
    for c = 1, #columns do widths[c] = math.max(widths[c] or 0, width_of(row[c] or "")) end
  end
  for _, row in ipairs{ columns, table.unpack(rows) } do
    local line = {}
    for c = 1, #columns do
      local text = row[c] or ""
      local blanks = (" "):rep(widths[c] - width_of(text))
      line[c] = c == 1 and text .. blanks or blanks .. text
    end
    print("  " .. table.concat(line, "  "))
  end
end

local function print_part(part, width)
  print("\n" .. part.title)
  if part.terminal then print("  " .. part.terminal) end
  local label, value = 0, 0
  for _, m in ipairs(part.measures or {}) do label, value = math.max(label, width_of(m[1])), math.max(value, width_of(m[2])) end
  for _, m in ipairs(part.measures or {}) do
    local line = ("  %s%s  %s%s"):format(m[1], (" "):rep(label - width_of(m[1])), (" "):rep(value - width_of(m[2])), m[2])
    local note = m[3] and ("[%s]"):format(m[3]) or m[4] or ""
    if width_of(line) + 2 + width_of(note) > width then note = require "lsengine.gnuplot".text(note, math.max(1, width - width_of(line) - 2)) end
    print(note == "" and line or line .. "  " .. note)
  end
  for _, t in ipairs(part.tables or {}) do
    if not t.folded then print_rows(t.rows, t.columns) end
  end
end

function command.run(found)
  local d = read(found)
  if found.report then
    local made, why = cjson.make_folder(found.report)
    if not made then input.fail("the folder of the report cannot be made: %s", why) end
  end
  local list, json, key = judge(d)
  local subtitle = ("%s and %s: %d rows%s"):format(d.name, d.labels_name, d.rows, d.classes and (", %d classes"):format(d.classes) or "")
  local file, with_figures
  if found.report then
    local html
    html, with_figures = page.html{ title = "Predictions judged", subtitle = subtitle, key = key, notes = d.notes, parts = list,
      foot = ("Made by lsengine %s. Sums in double from float32 numbers; definitions are in the manual (lsengine help ls.eval.calibration)."):format(json.lsengine) }
    file = (found.report:gsub("(.)/+$", "%1")) .. "/report.html"
    files.write("evaluate", file, html)
    json.report = file
  end
  if found.json then
    print(cjson.encode(json))
    return 0
  end
  print(subtitle)
  local width = math.max(60, system.terminal(true) or math.maxinteger) -- in a file or a pipe every note is whole
  for _, part in ipairs(list) do print_part(part, width) end
  for _, note in ipairs(d.notes) do io.stderr:write("note: ", note, "\n") end
  if file and not with_figures then io.stderr:write("note: figures were left out: ", require "lsengine.gnuplot".hint, "\n") end
  if file then print("\nThe report is " .. file) end
  return 0
end

return command
