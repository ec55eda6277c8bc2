-- Layers and models together: what ls.nn is made of. SPDX-License-Identifier: MIT
local nn = {}
for _, part in ipairs { "module", "layers", "models" } do
  for name, value in pairs(require("lsengine." .. part)) do nn[name] = value end
end
return nn
