-- An entry about a connection that opens or ends, and the record of those that are open, in one step: however often
-- and by whomever this is called, each connection gets one entry of each kind.
--
-- KEYS   the stream; the hash of the open connections of a node's life; those of lives that the node had before
-- ARGV   open, shut or bury; the number of this call; how long the stream may be, 0: as long as it likes;
--        the connection's name; what burial has to know of it; the entry's fields and values
--
-- Calls of a life are numbered. One that comes late, because Redis stood still with it in a buffer, is void: the node
-- has long made it again. The hash keeps the last number under "!", and so shows the node that Redis has lost what
-- it knew. Burial leaves the greatest number there: nothing of that life happens after it.
--
-- A connection that has ended stays in the hash, with nothing said of it, until the node knows that it does: or both
-- its entries would be written again where both are sent again. Then the node removes it: clear, the connections.
--
-- Returns 1 if the entry was written, 0 if there was no occasion, -1 if the call is void; and the last number before.
local stream, record = KEYS[1], KEYS[2]
if ARGV[1] == 'clear' then
  for i = 2, #ARGV do
    if redis.call('HGET', record, ARGV[i]) == '' then redis.call('HDEL', record, ARGV[i]) end
  end
  return { 0, 0 }
end
local what, number, limit, conn, about = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

local before = tonumber(redis.call('HGET', record, '!') or '0')
if what ~= 'bury' then
  if tonumber(number) <= before then return { -1, before } end
  redis.call('HSET', record, '!', number)
end

-- From which record the connection is taken, nil if it stood in none, and what stood there.
local from, stood
for i = 2, #KEYS do
  if i > 2 or what ~= 'open' then
    stood = redis.call('HGET', KEYS[i], conn)
    if stood then
      from = KEYS[i]
      redis.call('HDEL', from, conn)
      break
    end
  end
end

local occasion
if what == 'open' then
  if stood == '' then about = '' end -- it has ended since: both entries are sent again
  occasion = redis.call('HSETNX', record, conn, about) == 1 and not from
else
  occasion = from ~= nil and stood ~= ''
  if from and what == 'shut' then redis.call('HSET', record, conn, '') end
end
if not occasion then return { 0, before } end

local entry
if limit == '0' then
  entry = redis.pcall('XADD', stream, '*', unpack(ARGV, 6))
else
  entry = redis.pcall('XADD', stream, 'MAXLEN', '~', limit, '*', unpack(ARGV, 6))
end
if type(entry) == 'table' and entry.err then -- as if nothing had been
  redis.call('HDEL', record, conn)
  if from then redis.call('HSET', from, conn, stood) end
  return entry
end
return { 1, before }
