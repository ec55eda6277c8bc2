-- Plots: what gnuplot draws, texts of any kind shown as they are, nothing of a user's run as code. SPDX-License-Identifier: MIT
local t       = require "harness"
local ls      = require "lsengine"
local gnuplot = require "lsengine.gnuplot"
local process = require "lsengine.c.process"
local svg     = require "lsengine.svg"
local history = require "lsengine.history"

local folder = t.tmpname()
os.remove(folder)
assert(require "lsengine.c.json".make_folder(folder))

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end
local function exists(path) local f = io.open(path) if f then f:close() end return f ~= nil end
local function needs_gnuplot() if not gnuplot.available() then t.skip(gnuplot.hint) end end

local rng = ls.rng(3)
local labels = rng:integers(0, 3, 300)
local logits = (ls.tensor.randn(300, 4, { rng = rng }) + ls.tensor.one_hot(labels, 4) * 2) * 1.5
local calibration, selective = ls.eval.calibration(logits, labels), ls.eval.selective(logits, labels)
local recorded = history.new{ { epoch = 1, loss = 2, nll = 2.5 }, { epoch = 2, loss = 1, nll = 0 / 0 }, { epoch = 3, loss = 0.5, nll = 1.5 } }

-- One of each, made with a title.
local makers = {
  reliability = function(o) return ls.plot.reliability(calibration, o) end,
  confidence = function(o) return ls.plot.confidence(calibration, o) end,
  risk_coverage = function(o) return ls.plot.risk_coverage({ { o.title, selective } }, o) end,
  recall = function(o) return ls.plot.recall({ { o.title, { recall = { [1] = 0.9, [10] = 0.95 } } } }, o) end,
  confusion = function(o) o.class_names = { o.title, "b", "c", "d" } return ls.plot.confusion(ls.eval.classification(logits, labels).confusion, o) end,
  projection = function(o) o.class_names = { o.title, "b", "c", "d" } o.x_label = o.title return ls.plot.projection(ls.tensor.randn(300, 2, { rng = rng }), labels, o) end,
  training = function(o) o.y_label = o.title return ls.plot.training(recorded, { "loss", "nll" }, o) end,
  curves = function(o) o.x_label = o.title return ls.plot.curves({ { name = o.title, x = { 1, 2, 3 }, values = { { 1, 2, 3 }, { 2, 0 / 0, 5 } } } }, o) end,
  differences = function(o) return ls.plot.differences({ { o.title, { 0.1, 0.2, -0.1 } }, { "one", { 0.3 } } }, { title = o.title, margin = 0.1 }) end,
  interaction = function(o) return ls.plot.interaction({ { 0, o.title, { 1, 2 } }, { o.title, o.title, { 2, 3 } } }, o) end,
  target = function(o) o.classes, o.class_names = 5, { o.title, "b", "c", "d", "e" } return ls.plot.target({ { o.title, ls.target.uniform(0.1) } }, o) end,
}

-- Whether a text is well-formed: tags nest, attributes are quoted, entities are known.
local function check_xml(text)
  local stack = {}
  for slash, name, rest in text:gmatch "<(/?)([%a][%w:]*)([^>]*)>" do
    if slash == "/" then
      t.equals(table.remove(stack), name)
    else
      t.is_true(not rest:gsub('"[^"]*"', ""):gsub("'[^']*'", ""):find "[\"'<]", rest)
      if rest:sub(-1) ~= "/" then stack[#stack + 1] = name end
    end
  end
  t.equals(#stack, 0)
  for entity in text:gmatch "&([^;%s]*;?)" do t.is_true(entity:find "^#?%w+;$" ~= nil, "&" .. entity) end
  t.is_true(utf8.len(text) ~= nil)
end

-- All texts of a picture, entities resolved.
local function texts(picture)
  local out = {}
  for text in picture:gmatch "<text[^>]*>(.-)</text>" do
    out[#out + 1] = text:gsub("<[^>]*>", ""):gsub("&lt;", "<"):gsub("&gt;", ">"):gsub("&quot;", '"'):gsub("&#39;", "'"):gsub("&amp;", "&")
  end
  return table.concat(out, "\n")
end

local thorough = { curves = true, confusion = true } -- each way by which texts reach gnuplot: titles, keys, axes; tics

for name, make in pairs(makers) do
  t.tests["every_kind_is_drawn_" .. name] = function()
    needs_gnuplot()
    local picture = make{ title = "plain" }:svg()
    check_xml(picture)
    t.is_true(picture:find('class="lsplot"', 1, true) and picture:find("prefers-color-scheme:dark", 1, true) and #picture > 3000)
    t.is_true(not picture:find "https?://[^w]" and not picture:find("<script", 1, true), "it asks for something else")
    t.is_true(picture == make{ title = "plain" }:svg() or name == "projection", "the same plot gives the same bytes")
    -- no colour is left that the dark style sheet does not know, text and lines alike
    local known = require "lsengine.palette".dark
    for colour in picture:gsub("<style>.-</style>", ""):gmatch "[=]['\"](#%x%x%x%x%x%x)['\"]" do t.is_true(known[colour] ~= nil, colour) end
  end
  t.tests["no_text_is_code_" .. name] = function()
    needs_gnuplot()
    local mark = folder .. "/mark-" .. name
    for i, hostile in ipairs{
      ("' ; system(\"touch %s\") ; '"):format(mark), ("'' ; system(\"touch %s\") ; ''"):format(mark), ("x''"):format(mark), ("`touch %s`"):format(mark), ("a\n!touch %s\nb"):format(mark), ("a\n`touch %s`"):format(mark),
      ("\\\n!touch %s"):format(mark), ("@x %%d %%s \"; system('touch %s'); \""):format(mark), ("' . system('touch %s') . '"):format(mark),
      ("END_OF_DATA\nsystem('touch %s')"):format(mark), ("$DATA index 0' ; system 'touch %s"):format(mark), "</text></svg><script>x</script>", "\0\1\255\254 \u{FFFE}",
    } do
      if i > 5 and not thorough[name] then break end
      local picture = make{ title = hostile }:svg()
      check_xml(picture)
      t.is_true(not exists(mark), ("title %d was run"):format(i))
      t.is_true(not picture:find("<script", 1, true))
    end
  end
end

function t.tests.titles_are_shown_as_they_are()
  needs_gnuplot()
  for _, title in ipairs{ "it's `date` \"q\" $HOME a_b", "x@y {/Symbol a} ^2 100% %d <b>&amp; é 漢 \\n", "_{a}^{b} ~x{.5-} @{a}" } do
    for _, name in ipairs{ "curves", "confusion", "target", "interaction" } do
      local shown = texts(makers[name]{ title = title, width = 900 }:svg())
      t.is_true(shown:find(title, 1, true) ~= nil or name ~= "curves", ("%s shows %q, wanted %q"):format(name, shown, title))
      t.is_true(shown:find(title:sub(1, 8), 1, true) ~= nil, name)
    end
  end
  t.is_true(texts(makers.curves{ title = "two\nlines\tand a tab" }:svg()):find("two lines and a tab", 1, true) ~= nil)
  local long = texts(makers.curves{ title = ("word "):rep(200) }:svg())
  t.is_true(long:find("…", 1, true) ~= nil, "a long title ends in …")
end

function t.tests.names_in_pictures_differ_where_prefixes_do()
  needs_gnuplot()
  local one, two = makers.recall{ title = "a" }:svg{ prefix = "one" }, makers.recall{ title = "a" }:svg{ prefix = "two" }
  local count = 0
  for id in one:gmatch "id=['\"]([^'\"]+)['\"]" do
    count = count + 1
    t.is_true(id:find "^one%-" ~= nil and not two:find("'" .. id .. "'", 1, true), id)
  end
  t.is_true(count > 0)
  for target in one:gmatch "href=['\"]#([^'\"]+)['\"]" do t.is_true(one:find("id='" .. target .. "'", 1, true) ~= nil, target .. " is used but not there") end
  t.fails(function() return makers.recall{ title = "a" }:svg{ prefix = "a b" } end, "prefix must be", true)
end

function t.tests.files_by_their_endings()
  needs_gnuplot()
  local p = makers.curves{ title = "files" }
  p:save(folder .. "/a.svg")
  p:save(folder .. "/a.pdf")
  p:save(folder .. "/A.PNG")
  t.equals(read(folder .. "/a.svg"):sub(1, 5), "<?xml")
  t.equals(read(folder .. "/a.pdf"):sub(1, 5), "%PDF-")
  t.equals(read(folder .. "/A.PNG"):sub(1, 4), "\137PNG")
  t.fails(function() return p:save(folder .. "/a.gif") end, "a name that ends in .svg, .pdf or .png is required", true)
  t.fails(function() return p:save("svg") end, "a name that ends in", true)
  t.fails(function() return p:save(folder .. "/no/a.svg") end, "cannot be written: No such file", true)
  t.fails(function() return p:save(folder .. "/a\nb.svg", { keep = true }) end, "control character", true)
end

function t.tests.a_kept_script_draws_the_picture_again()
  needs_gnuplot()
  local name = "it's $(touch mark) `x`"
  makers.reliability{ title = "kept 'one'" }:save(folder .. "/" .. name .. ".pdf", { keep = true })
  os.remove(folder .. "/" .. name .. ".pdf")
  local quoted = (folder .. "/"):gsub("'", "'\\''")
  t.is_true(os.execute(("cd '%s' && gnuplot '%s.gnuplot'"):format(quoted, name:gsub("'", "'\\''"))))
  t.equals(read(folder .. "/" .. name .. ".pdf"):sub(1, 5), "%PDF-")
  t.is_true(not exists(folder .. "/mark"))
end

function t.tests.wrong_numbers_are_named()
  local plot = ls.plot
  t.fails(function() return plot.reliability{} end, "calibration has no bins", true)
  t.fails(function() return plot.reliability{ bins = { { low = 0, high = 1, count = 0 } } } end, "calibration has no rows in its bins", true)
  t.fails(function() return plot.reliability{ bins = { { low = 0, high = 1, count = 3, confidence = 0 / 0, accuracy = 1 } } } end, "bins[1].confidence is", true)
  t.fails(function() return plot.confidence{ bins = { { low = 0, high = 1, count = -1 } } } end, "bins[1].count is -1", true)
  t.fails(function() return plot.risk_coverage{ curve = { { 0.1, 0 / 0 } } } end, "there is no finite number to draw", true)
  t.fails(function() return plot.recall{ recall = { [0] = 1 } } end, "recall[0] is 1", true)
  t.fails(function() return plot.recall{ recall = {} } end, "there is no finite number to draw", true)
  t.fails(function() return plot.confusion(ls.tensor{ { 1, 2 } }) end, "confusion must be K×K", true)
  t.fails(function() return plot.confusion(ls.tensor{ { 1, -2 }, { 0, 0 } }) end, "confusion[1][2] is -2", true)
  t.fails(function() return plot.projection(ls.tensor.zeros(2, 3), { 0, 1 }) end, "points must be N×2", true)
  t.fails(function() return plot.projection(ls.tensor.zeros(2, 2), { 0 }) end, "2 points but 1 labels", true)
  t.fails(function() return plot.projection(ls.tensor.full(0 / 0, 2, 2), { 0, 1 }) end, "there is no finite point", true)
  t.fails(function() return plot.training(recorded, "accuracy") end, "no epoch has", true)
  t.fails(function() return plot.curves{} end, "curves holds 0 curves", true)
  t.fails(function() return plot.curves{ { x = { 1, 2 }, values = { { 1 } } } } end, "curves[1].values[1] has 1 numbers, x has 2", true)
  t.fails(function() return plot.curves({ { x = { 0 }, values = { { 1 } } } }, { log_x = true }) end, "above 0 is required", true)
  t.fails(function() return plot.differences{ { "a", { 0 / 0 } } } end, "no finite number", true)
  t.fails(function() return plot.interaction{ { 1, 2, { 1 } }, { 1, 2, { 1 } } } end, "levels that another cell has", true)
  t.fails(function() return plot.target(ls.target.uniform(0.1), { classes = 3, label = 3 }) end, "label is 3, allowed is 0 to 2", true)
end

function t.tests.numbers_of_any_size_are_drawn()
  needs_gnuplot()
  for _, values in ipairs{ { 1e308, -1e308, 1 }, { 5e-324, 0, 1e-300 }, { 1, 1, 1 }, { 0, 0, 0 }, { 1 / 0, 2, 3 }, { 1e15, 1e15 + 1, 1e15 } } do
    check_xml(ls.plot.curves{ { x = { 1, 2, 3 }, values = { values } } }:svg())
  end
  check_xml(ls.plot.confusion(ls.tensor.ones(100, 100), { most = 60 }):svg())
  check_xml(ls.plot.projection(ls.tensor.randn(20000, 2, { rng = rng }), rng:integers(0, 9, 20000)):svg())
end

-- ---- child processes ----

function t.tests.a_child_gives_back_its_output_and_exit_code()
  local code, output, messages = process.run("test", { "cat" }, ("x"):rep(1000000), 4, 20)
  t.is_true(code == 0 and output == ("x"):rep(1000000) and messages == "")
  code, output, messages = process.run("test", { "sh", "-c", "echo out; echo err >&2; exit 7" }, "", 1, 20)
  t.is_true(code == 7 and output == "out\n" and messages == "err\n")
  t.equals((process.run("test", { "sh", "-c", "kill -9 $$" }, "", 1, 20)), 137)
  t.equals((process.run("test", { "true" }, ("x"):rep(1000000), 1, 20)), 0, "a child that reads nothing")
  code, output = process.run("test", { "no-such-program-anywhere" }, "", 1, 20)
  t.is_true(code == nil and output == "No such file or directory")
  t.equals(select(2, process.run("test", { "echo", "$HOME `date` 'x'" }, "", 1, 20)), "$HOME `date` 'x'\n", "no shell")
end

function t.tests.a_child_that_lasts_or_writes_too_much_is_ended()
  t.fails(function() return process.run("test", { "sleep", "60" }, "", 1, 1) end, "was not done after 1 seconds")
  t.fails(function() return process.run("test", { "sh", "-c", "yes" }, "", 1, 20) end, "wrote more than 1 MB")
end

function t.tests.no_child_is_left_behind()
  local pipe <close> = io.popen "ps -o stat= --ppid $PPID"
  local states = pipe:read "a"
  t.is_true(not states:find "Z", "a zombie: " .. states)
end

function t.tests.the_tests_can_fail()
  t.is_true(not pcall(check_xml, "<a><b></a>"))
  t.is_true(not pcall(check_xml, "<a>&bad</a>"))
  t.is_true(svg.escape "<'\"&>" == "&lt;&#39;&quot;&amp;&gt;")
end

t.run()
