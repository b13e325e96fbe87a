-- Passes every record on, unread: its bytes are never copied into Lua.
return function(rec)
  return rec
end
