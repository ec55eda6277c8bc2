-- The report of a check: what was held to, and what failed in its smallest case. SPDX-License-Identifier: MIT
local Report = {}
Report.__index, Report.__name = Report, "report of a check"

function Report:__tostring()
  local out = { ("%s: %s"):format(self.name, self.ok and ("holds what it owes in %d cases"):format(self.cases) or ("%d of %d checks failed"):format(#self.failures, #self.checks)) }
  for _, check in ipairs(self.checks) do
    out[#out + 1] = ("  %s %-17s %s"):format(check.ok and "ok    " or "FAILED", check.name, check.what)
    if not check.ok then out[#out + 1] = ("         %s: %s"):format(check.case, check.message) end
  end
  return table.concat(out, "\n")
end

local report = {}

-- { name =, ok =, cases =, checks = { { name =, what =, ok =, case =, message = }, … }, failures = those that are not ok }
function report.new(name) return setmetatable({ name = name, ok = true, cases = 0, checks = {}, failures = {} }, Report) end

function report.add(self, name, what) self.checks[#self.checks + 1] = { name = name, what = what, ok = true } end

-- The first failure of a check counts: cases grow, so it is the smallest.
function report.fail(self, name, case, message)
  for _, check in ipairs(self.checks) do
    if check.name == name then
      if not check.ok then return end
      check.ok, check.message, check.case = false, message, case
      self.ok, self.failures[#self.failures + 1] = false, check
      return
    end
  end
  error("no check " .. name)
end

return report
