
-- As a script this is the one function that was asked for.
if not redis.register_function then
  local name = table.remove(ARGV, 1)
  if not registered[name] then return failure('no function ' .. tostring(name)) end
  return registered[name](KEYS, ARGV)
end
