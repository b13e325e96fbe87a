-- SPDX-License-Identifier: MIT
-- A few lines at the bottom of the terminal that are drawn again and again, and lines above them that stay. Where there is no
-- terminal only the lines that stay are written; NO_COLOR takes colours away, a locale without UTF-8 everything that isn't ASCII.
local ffi = require "ffi"

ffi.cdef [[
   int isatty(int fd);
   struct picture_size { unsigned short rows, columns, x, y; };
   int ioctl(int fd, unsigned long request, ...);
]]

local picture = {}
local Picture = {}
Picture.__index = Picture

local TIOCGWINSZ = 0x5413
local COLOURS = { red = 31, green = 32, yellow = 33, blue = 34, grey = 90, bold = 1 }
local BLOCKS = { [0] = " ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" }
local ASCII = { ["━━┳━▶"] = "--+->", ["┣━▶"] = "+->", ["┗━▶"] = "+->", ["━━━━▶"] = "---->", ["✖"] = "x", ["✔"] = "+",
   ["▁"] = "_", ["▂"] = ".", ["▃"] = ":", ["▄"] = "-", ["▅"] = "=", ["▆"] = "+", ["▇"] = "*", ["█"] = "#" }

local function set(name)
   local value = os.getenv(name)
   return value and value ~= "" and value or nil
end

function picture.new()
   local self = setmetatable({ lines = 0, frame = {} }, Picture)
   self.live = ffi.C.isatty(1) == 1 and set "TERM" ~= "dumb"
   self.colour = self.live and not set "NO_COLOR"
   self.unicode = (set "LC_ALL" or set "LC_CTYPE" or set "LANG" or ""):lower():find "utf%-?8" ~= nil
   io.stdout:setvbuf "full"
   return self
end

function Picture:paint(colour, text)
   return self.colour and ("\27[%dm%s\27[0m"):format(COLOURS[colour], text) or text
end

-- What this terminal can show of a text.
function Picture:plain(text)
   if self.unicode then return text end
   for from, to in pairs(ASCII) do text = text:gsub(from, to) end
   return text
end

-- Numbers as a row of bars, the highest as high as a line is.
function picture.bars(numbers)
   local most, out = 1, {}
   for _, n in ipairs(numbers) do most = math.max(most, n) end
   for i, n in ipairs(numbers) do out[i] = BLOCKS[n <= 0 and 0 or math.max(1, math.ceil(n / most * 8))] end
   return table.concat(out)
end

-- At most `columns` cells of a line: escapes take none, and only the first byte of a character counts.
local function clipped(line, columns)
   local out, cells, i = {}, 0, 1
   while i <= #line do
      local escape = line:match("^\27%[[%d;]*m", i)
      local piece = escape or line:match("^[%z\1-\127\194-\244][\128-\191]*", i) or line:sub(i, i)
      cells = cells + (escape and 0 or 1)
      if escape or cells <= columns then out[#out + 1] = piece end
      i = i + #piece
   end
   return table.concat(out)
end

local function columns()
   local size = ffi.new "struct picture_size"
   return ffi.C.ioctl(1, TIOCGWINSZ, size) == 0 and size.columns > 0 and size.columns or 80
end

function Picture:erase()
   if self.lines > 0 then io.write(("\27[%dA\27[J"):format(self.lines)) end
   self.lines = 0
end

-- Draws the frame anew; without a terminal there is none.
function Picture:show(frame)
   if not self.live then return end
   self.frame = frame
   self:erase()
   local width = columns() - 1
   for _, line in ipairs(frame) do io.write(clipped(self:plain(line), width), "\n") end
   self.lines = #frame
   io.flush()
end

-- A line that stays, above the frame.
function Picture:say(line)
   self:erase()
   io.write(self:plain(line or ""), "\n")
   self:show(self.frame)
   io.flush()
end

-- The frame stays as it is; what is said from now on comes below.
function Picture:leave()
   self.frame, self.lines = {}, 0
end

return picture
