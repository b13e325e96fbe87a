return function(rec) return rec end
