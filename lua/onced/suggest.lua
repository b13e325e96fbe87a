-- SPDX-License-Identifier: MIT
-- "did you mean": the nearest of a few names, for error texts only.

local function distance(a, b)
  local row = {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local diagonal = row[0]
    row[0] = i
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and diagonal or diagonal + 1
      diagonal, row[j] = row[j], math.min(cost, row[j] + 1, row[j - 1] + 1)
    end
  end
  return row[#b]
end

-- `; did you mean "audit"?`, or what there is, or "" when there is nothing.
return function(name, names)
  table.sort(names)
  name = tostring(name)
  local best, least
  for _, candidate in ipairs(names) do
    local d = distance(name:lower(), candidate:lower())
    if not least or d < least then best, least = candidate, d end
  end
  if best and least <= (#name > 4 and 2 or 1) then return ('; did you mean "%s"?'):format(best) end
  return #names > 0 and " (there is " .. table.concat(names, ", ") .. ")" or ""
end
