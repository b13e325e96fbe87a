-- Sends instead of returning: each record to one output, the variable in its topic's name given with it.

---@param rec onced.Record
---@param out table<string, onced.Output>
return function(rec, out)
  local region = rec:header "region"
  if region == "eu" or region == "us" then
    out.regional:send(rec, { region = region })
  else
    out.rest:send(rec)
  end
end
