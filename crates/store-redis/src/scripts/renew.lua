-- Keeps a lease for as long again. 0: it is not the holder's any more. KEYS: lease. ARGV: token, milliseconds.
local held = redis.call('GET', KEYS[1])
if held and string.match(held, '^%d+') == ARGV[1] then
  return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0
