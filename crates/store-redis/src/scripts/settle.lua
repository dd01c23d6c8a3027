-- Says where the log ends, and begins it anew where its end may be missing: the counter is gone, or behind what somebody has read already,
-- or this server was not the one that wrote last (a replica that was promoted, a server that came back from a dump).
-- KEYS: the counter, the server that wrote last. ARGV: the number that the caller has read. Answers with the number, and 1 if it is a new beginning.
local info = redis.pcall('INFO', 'replication')
info = type(info) == 'string' and info or ''
if string.find(info, 'role:slave', 1, true) then
  return redis.error_reply('READONLY this server is a replica')
end
local server = string.match(info, 'master_replid:(%x+)') or 'unknown'
local number = tonumber(redis.call('GET', KEYS[1]) or '0')
if number > 0 and number >= tonumber(ARGV[1]) and redis.call('GET', KEYS[2]) == server then
  return {string.format('%.0f', number), 0}
end
local time = redis.call('TIME')
number = string.format('%.0f', math.max(math.max(number, ARGV[1]) + 1048576, time[1] * 1000 + math.floor(time[2] / 1000)))
redis.call('SET', KEYS[1], number)
redis.call('SET', KEYS[2], server)
return {number, 1}
