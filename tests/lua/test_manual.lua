-- The manual: every public function has its entry, the pages are up to date, every example runs. SPDX-License-Identifier: MIT
local t      = require "harness"
local ls     = require "lsengine"
local manual = require "lsengine.manual"
local public = require "lsengine.public"

local function read(path)
  local file <close> = assert(io.open(path))
  return file:read "a"
end

-- Walks what a script can reach from ls: every function there must be registered.
function t.tests.every_function_that_a_script_can_reach_has_an_entry()
  manual.names()
  local known, count = {}, 0
  for name, spec in pairs(public.registry) do known[spec.entry] = name end
  local function all(where, members)
    for name, value in pairs(members) do
      if type(value) == "function" and not name:find "^__" then
        count = count + 1
        t.is_true(known[value] ~= nil, ("%s%s has no entry in the manual"):format(where, name))
      end
    end
  end
  for _, part in ipairs{ "eval", "plot", "stats", "knn", "data", "target", "loss", "nn", "optim", "augment", "mix", "tensor", "autograd" } do all("ls." .. part .. ".", ls[part]) end
  all("tensor:", require "lsengine.tensor".methods)
  all("target:", getmetatable(ls.target.uniform(0.1)(ls.labels{ 0 })))
  all("history:", getmetatable(require "lsengine.history".new{}))
  all("data:", getmetatable(ls.data.load "digits"))
  all("data:", getmetatable(ls.data.load "digits".train))
  all("cals:", getmetatable(ls.loss.cals{}))
  all("calibrator:", getmetatable(ls.eval.temperature_scaling(ls.tensor.eye(2), { 0, 1 })))
  all("optimizer:", getmetatable(ls.optim.sgd({ ls.tensor.zeros(1) }, { lr = 1 })))
  t.is_true(count > 100, count)
end

function t.tests.entries_say_what_is_taken_and_returned()
  for _, name in ipairs(manual.names()) do
    local entry = manual.entry(name)
    t.is_true(#entry > 40, name)
    t.is_true(not entry:find("(…)`", 1, true), name .. " has no signature")
    local spec = public.registry[name]
    if spec then
      t.is_true(spec.returns ~= nil, name .. " does not say what it returns")
      for _, argument in ipairs(spec) do t.is_true(argument.doc ~= nil, ("%s: %s has no words"):format(name, argument[1])) end
      local function each(specs)
        for option, s in pairs(specs) do
          t.is_true(s.doc ~= nil, ("%s: %s has no words"):format(name, option))
          if s.options then each(s.options) end
        end
      end
      each(spec.options or {})
    end
  end
end

function t.tests.the_pages_are_up_to_date()
  for _, page in ipairs(manual.pages()) do
    t.equals(read("docs/reference/" .. page[1]), page[2], page[1] .. ": run build/lsengine run tools/manual.lua")
  end
end

function t.tests.every_example_runs()
  local count = 0
  local folder = os.getenv "TMPDIR" or "/tmp"
  for name, spec in pairs(public.registry) do
    if spec.example then
      count = count + 1
      local rng = ls.rng(1)
      local data = ls.data.load("satellite"):split{ validation = 0.2 }
      local model = ls.nn.mlp({ 36, 8, 6 }, { rng = rng })
      local logits = ls.tensor.randn(4, 10, { rng = rng })
      local environment = setmetatable({
        ls = ls, rng = rng, embeddings = ls.tensor.randn(12, 8, { rng = rng }), embedding_labels = ls.labels{ 0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5 }, model = model, x = ls.tensor.randn(4, 36, { rng = rng }), labels = ls.labels{ 0, 3, 1, 9 }, other_labels = ls.labels{ 1, 1, 1, 1 },
        logits = logits:requires_grad(), teacher_logits = ls.tensor.randn(4, 10, { rng = rng }), folder = folder, print = function() end,
        data = { train = data.train:subset(rng:permutation(200)), test = data.test:subset(ls.labels{ 1, 2 }), validation = data.validation:subset(ls.labels{ 1, 2 }) },
      }, { __index = _G })
      local f = assert(load(spec.example, "=example of " .. name, "t", environment))
      local ok, message = pcall(f)
      t.is_true(ok, ("%s: %s"):format(name, message))
    end
  end
  t.is_true(count > 35, count .. " examples")
end

function t.tests.links_lead_somewhere()
  local pages, anchors = manual.pages(), {}
  for _, page in ipairs(pages) do
    for heading in page[2]:gmatch "\n## ([^\n]+)" do anchors[page[1] .. "#" .. heading:lower():gsub("[^%w_%- ]", "")] = true end
  end
  local count = 0
  for _, page in ipairs(pages) do
    for link in page[2]:gmatch "%]%(([^)]+)%)" do
      count = count + 1
      if link:find "#" then t.is_true(anchors[link] ~= nil, link)
      elseif not link:find "^http" then read("docs/reference/" .. link) end
    end
  end
  t.is_true(count > 140)
end

t.run()
