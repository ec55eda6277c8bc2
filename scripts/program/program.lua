-- The command line. SPDX-License-Identifier: MIT
--
-- Returns main(arguments…) → exit code: 0 done, 1 error in a script, 2 wrong use of the command line, 130 interrupted.
local c       = require "lsengine.c.program"
local options = require "lsengine.options"

local settings = c.settings

-- ---- what a script may not do: load precompiled code, or reach into the C side ----

local function restrict()
  local load_any, loadfile_any = load, loadfile
  local function text_only(mode)
    if mode ~= nil and mode ~= "t" and mode ~= "bt" then error("precompiled chunks are refused: mode must be \"t\"", 3) end
  end
  function load(chunk, name, mode, ...)
    text_only(mode)
    if select("#", ...) > 0 then return load_any(chunk, name, "t", (...)) end
    return load_any(chunk, name, "t")
  end
  function loadfile(path, mode, ...)
    text_only(mode)
    if select("#", ...) > 0 then return loadfile_any(path, "t", (...)) end
    return loadfile_any(path, "t")
  end
  function dofile(path)
    local f, message = loadfile_any(path, "t")
    if not f then error(message, 2) end
    return f()
  end
  package.searchers[3] = function(name)
    local path, message = package.searchpath(name, package.path)
    if not path then return message end
    local f, problem = loadfile_any(path, "t")
    if not f then error(("error loading module '%s': %s"):format(name, problem)) end
    return f, path
  end
  string.dump = nil
  -- C functions of running frames stay hidden: the engine calls some with arguments that only it can make
  local getinfo = debug.getinfo
  local function visible_info(at, ...)
    if type(at) == "number" then at = at + 1 end
    local info = getinfo(at, ...)
    if info and info.func and getinfo(info.func, "S").what == "C" then info.func = nil end
    return info
  end
  local kept = { traceback = debug.traceback, getinfo = visible_info }
  debug, package.loaded.debug = kept, kept
  c.start, c.limit = nil, nil
end

-- ---- options ----

local function fail(...)
  io.stderr:write("lsengine: ", string.format(...), "\n")
  return 2
end

local function size(text)
  local number, unit = text:match "^(%d+%.?%d*)([kKmMgG]?)[bB]?$"
  if not number then return nil end
  return math.tointeger(math.floor(tonumber(number) * (({ k = 1e3, m = 1e6, g = 1e9 })[unit:lower()] or 1)))
end

local function whole(low, high)
  return function(text)
    local n = text:match "^%-?%d+$" and math.tointeger(text)
    return n and n >= low and n <= high and n or nil, ("a whole number from %d to %d"):format(low, high)
  end
end

local run_options = {
  { "set", "KEY=VALUE", "an option that the script declares with ls.options", function(text)
    local key, value = text:match "^([%a_][%w_]*)=(.*)$"
    return key and { key, value }, "KEY=VALUE"
  end },
  { "seed", "N", "first seed of the experiments", whole(0, 2^53) },
  { "seeds", "N", "number of seeds of the experiments", whole(1, 100000) },
  { "threads", "N", "threads, the calling one included; all processors unless given", whole(1, 256) },
  { "mem-limit", "SIZE", "most memory, as 500M or 8G; 90 % of the machine's unless given", function(text) return size(text), "a size such as 500M or 8G" end },
  { "results", "FOLDER", "where results are written; results unless given", function(text) return text ~= "" and text or nil, "a folder" end },
  { "strict", nil, "warnings about pitfalls are errors" },
  { "quiet", nil, "no progress, no warnings" },
}

local function parse(arguments, specs)
  local found, rest, by_name, names = {}, {}, {}, {}
  for _, spec in ipairs(specs) do
    by_name[spec[1]] = spec
    names[#names + 1] = "--" .. spec[1]
  end
  local i = 1
  while i <= #arguments do
    local a = arguments[i]
    local name, value = a:match "^%-%-([%w-]+)=(.*)$"
    if not name then name = a:match "^%-%-([%w-]+)$" end
    if not name then
      if a:sub(1, 1) == "-" and #a > 1 then return nil, ("unknown option %s, %s"):format(a, options.known_text(a, names)) end
      rest[#rest + 1] = a
    else
      local spec = by_name[name]
      if not spec then return nil, ("unknown option --%s, %s"):format(name, options.known_text("--" .. name, names)) end
      if not spec[2] then
        if value then return nil, ("--%s takes no value"):format(name) end
        found[name] = true
      else
        if not value then
          i = i + 1
          value = arguments[i]
          if not value then return nil, ("--%s needs a value: --%s %s"):format(name, name, spec[2]) end
        end
        local parsed, wanted = spec[4](value)
        if not parsed then return nil, ("--%s is \"%s\", %s is required"):format(name, value, wanted) end
        if name == "set" then
          found.set = found.set or {}
          found.set[parsed[1]] = parsed[2]
        else
          found[name] = parsed
        end
      end
    end
    i = i + 1
  end
  return found, rest
end

-- ---- commands ----

local commands = {}

local function start(found)
  local problem = c.start(found.threads or 0)
  if problem then return fail("%s", problem) end
  if found["mem-limit"] then c.limit(found["mem-limit"]) end
end

commands.run = { "run SCRIPT [options]", "runs a Lua script", run_options, function(found, rest)
  if #rest ~= 1 then return fail("run takes one script, %d were given: lsengine run script.lua", #rest) end
  local code = start(found)
  if code then return code end
  local script, message = loadfile(rest[1], "t")
  if not script then
    io.stderr:write("lsengine: ", message, "\n")
    return 1
  end
  settings.script, settings.set = rest[1], found.set or {}
  settings.seed, settings.seeds, settings.results = found.seed, found.seeds, found.results or "results"
  if found.strict or found.quiet then
    local pitfalls = require "lsengine.pitfalls"
    pitfalls.strict, pitfalls.quiet = found.strict or false, found.quiet or false
  end
  settings.quiet = found.quiet
  arg = { [0] = rest[1] }
  restrict()
  script(rest[1])
  local provenance = package.loaded["lsengine.provenance"]
  if provenance then provenance.finish() end
  local unread = require "lsengine.script_options".unread()
  if unread then
    io.stderr:write(("lsengine: --set %s: the script declares no option with ls.options\n"):format(unread))
    return 2
  end
  return 0
end }

commands.version = { "version", "prints the versions", {}, function()
  local v = c.versions()
  print(("lsengine %s (%s)"):format(v.lsengine, v.lua))
  return 0
end }

commands.doctor = { "doctor", "says what this machine and installation have", {}, function(found)
  local code = start(found)
  if code then return code end
  local v, m, memory = c.versions(true), require "lsengine.c.system".machine(), c.memory()
  local function line(name, ...) print(("%-16s%s"):format(name, string.format(...))) end
  line("lsengine", "%s", v.lsengine)
  line("Lua", "%s", (v.lua:gsub("^Lua ", "")))
  line("OpenBLAS", v.openblas == m.blas_core and "missing" or "%s, kernel %s", v.openblas:match "OpenBLAS ([%d.]+)" or v.openblas, m.blas_core)
  line("zlib, libzip", "%s, %s", v.zlib, v.libzip)
  line("instructions", "%s", m.instruction_set)
  line("threads", "%d of %d processors", m.threads, m.processors)
  line("memory", "%.1f GB, limit %.1f GB", memory.machine / 1e9, memory.limit / 1e9)
  for i, set in ipairs(require "lsengine.data".catalogue()) do
    line(i == 1 and "data sets" or "", "%-15s%s", set.name, set.available and set.where or "missing: " .. set.hint)
  end
  return 0
end }

local function command_names()
  local names = {}
  for name in pairs(commands) do names[#names + 1] = name end
  table.sort(names)
  return names
end

local function print_options(specs)
  for _, spec in ipairs(specs) do
    print(("  --%-20s %s"):format(spec[1] .. (spec[2] and " " .. spec[2] or ""), spec[3]))
  end
end

commands.schemes = { "schemes [NAME]", "lists the softening schemes, or explains one", {}, function(_, rest)
  local catalogue = require "lsengine.catalogue"
  if #rest > 1 then return fail("schemes takes one name at most") end
  if rest[1] then return catalogue.show(rest[1], fail) end
  catalogue.list()
  return 0
end }

local evaluate_options = { -- loaded when used: the command's own come from its module
  "evaluate [options]", "judges predictions of any framework: --logits FILE --labels FILE …" }
commands.evaluate = setmetatable(evaluate_options, { __index = function(_, i)
  local evaluate = require "lsengine.evaluate_command"
  if i == 3 then return evaluate.options end
  if i ~= 4 then return nil end
  return function(found, rest)
    local problem = evaluate.problem(found, rest)
    if problem then return fail("%s", problem) end
    return start(found) or evaluate.run(found)
  end
end })

commands.new = { "new scheme NAME", "writes a working start of a softening scheme of one's own", { { "c", nil, "in C, as a Lua C module, instead of Lua" } }, function(found, rest)
  if rest[1] ~= "scheme" or #rest ~= 2 then return fail("new takes two words: lsengine new scheme NAME") end
  return require "lsengine.new_scheme".make(rest[2], found.c or false, fail)
end }

commands.help = { "help [COMMAND | FUNCTION]", "explains a command, or a function such as ls.nn.mlp", {}, function(_, rest)
  local topic = rest[1]
  if not topic then
    print "lsengine: does a softening of the targets help or harm? A script says what to try, lsengine tries it.\n"
    for _, name in ipairs(command_names()) do print(("  lsengine %-28s %s"):format(commands[name][1], commands[name][2])) end
    print "\noptions of run:"
    print_options(run_options)
    print "\nexit codes: 0 done, 1 error in the script, 2 wrong use of the command line, 130 interrupted"
    return 0
  end
  if commands[topic] then
    print(("lsengine %s: %s"):format(commands[topic][1], commands[topic][2]))
    print_options(commands[topic][3])
    return 0
  end
  local manual = require "lsengine.manual"
  local page = manual.entry(topic)
  if page then
    print(page)
    return 0
  end
  local known = manual.names()
  table.move(command_names(), 1, #command_names(), #known + 1, known)
  local best = options.known_text(topic, known):match "did you mean (.-)%?"
  return fail("there is no command or function %s%s; lsengine help lists the commands", topic, best and "; did you mean " .. best .. "?" or "")
end }

return function(...)
  local arguments = { ... }
  local name = table.remove(arguments, 1)
  if name == "--help" or name == "-h" then name = "help" end
  if name == "--version" then name = "version" end
  if not name then return fail("a command is missing, known are %s", table.concat(command_names(), ", ")) end
  local command = commands[name]
  if not command then return fail("unknown command %s, %s", name, options.known_text(name, command_names())) end
  for _, a in ipairs(arguments) do
    if a == "--help" or a == "-h" then return commands.help[4]({}, { name }) end
  end
  local found, rest = parse(arguments, command[3])
  if not found then return fail("%s: %s", name, rest) end
  return command[4](found, rest)
end
