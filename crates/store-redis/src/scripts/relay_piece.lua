-- Adds a piece to a relay. 0: it is not there any more, and nothing was done. KEYS: relay. ARGV: the piece's number, the piece, how many there
-- are with it, milliseconds to live, and the numbers of pieces that are dropped. Where any are, nobody can begin to read any more.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2], 'n', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
for at = 5, #ARGV do
  redis.call('HDEL', KEYS[1], ARGV[at], 'h', 'v')
end
return 1
