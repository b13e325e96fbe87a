-- The files of this repository as the house rules read them.
local tree = {}

-- Lines of a command's output.
local function lines(command)
   local pipe, out = assert(io.popen(command)), {}
   for line in pipe:lines() do out[#out + 1] = line end
   pipe:close()
   return out
end

-- Paths below `folder` (or several) that end in one of the endings (all without), sorted; what is built or git's own is left out.
function tree.files(folder, ...)
   local out = {}
   for _, path in ipairs(lines("find " .. folder .. " \\( -name .git -o -name build \\) -prune -o -type f -print | sort")) do
      local wanted = select("#", ...) == 0
      for _, ending in ipairs { ... } do wanted = wanted or path:sub(-#ending) == ending end
      if wanted then out[#out + 1] = path end
   end
   return out
end

function tree.read(path)
   local file = assert(io.open(path, "rb"))
   local text = file:read "*a"
   file:close()
   return text
end

function tree.write(path, text)
   local file = assert(io.open(path, "wb"))
   file:write(text)
   file:close()
end

-- Runs `act` with a folder that is gone afterwards: for rules to be shown failing on a copy.
function tree.with_copy(of, act)
   local folder = os.tmpname()
   os.remove(folder)
   os.execute(("cp -r %s %s"):format(of, folder))
   local ok, problem = pcall(act, folder)
   os.execute("rm -rf " .. folder)
   if not ok then error(problem, 0) end
end

return tree
