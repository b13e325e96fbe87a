-- luacheck of everything in Lua that is ours: LuaJIT's globals, none of our own.
std = "luajit"
max_line_length = 160
exclude_files = { "build/**", ".git/**" }
files["spec/**/*_spec.lua"] = { std = "luajit+busted" }
files["pipelines/**/*_spec.lua"] = { std = "luajit+busted" }
files["lua/types/**/*.lua"] = { ignore = { "212", "241" } } -- declarations: their arguments and tables are for editors
