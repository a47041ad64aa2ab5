
-- Who is there: the connections that are subscribed to a channel, where its namespace keeps that.
--
--   {sluice:room}.who         hash: connection -> {"life":...,"gen":...,"user":...,"info":...,"since":...}, compact JSON;
--                             life is the node's (see sluice:{nodes}), gen counts how often it has written all of its own,
--                             user is missing where it is anonymous, since is in Unix milliseconds
--   {sluice:room}.who.users   hash: user -> connections
--   {sluice:room}.who.lives   hash: life -> the Unix second until which its entries stand for certain
--
-- Nodes write these and renew them. What a node has left behind that died is removed by another one, as soon as its
-- death is known, or by whoever renews the channel after the second in .who.lives; without any node the keys expire.

-- attendance returns the names of a channel's three keys.
local function attendance(channel)
  local who = '{' .. channel .. '}.who'
  return who, who .. '.users', who .. '.lives'
end

-- announce tells the subscribers that a connection has come (+) or gone (-).
local function announce(channel, sign, conn, value)
  broadcast(channel, '\1sluice' .. sign .. ' ' .. conn .. '\n' .. value)
end

-- count_user counts the user of an entry up or down. Anonymous connections are none's.
local function count_user(users, value, change)
  local ok, entry = pcall(cjson.decode, value)
  local user = ok and type(entry) == 'table' and entry.user
  if type(user) ~= 'string' then return end
  if redis.call('HINCRBY', users, user, change) <= 0 then redis.call('HDEL', users, user) end
end

-- remove takes an entry away, if it is there.
local function remove(channel, conn, announces)
  local who, users = attendance(channel)
  local value = redis.call('HGET', who, conn)
  if not value then return 0 end
  redis.call('HDEL', who, conn)
  count_user(users, value, -1)
  if announces then announce(channel, '-', conn, value) end
  return 1
end

-- author returns the life and the generation that an entry was written by.
local function author(value)
  local life, generation = string.match(value, '^{"life":"([^"]*)","gen":(%d+),')
  return life, tonumber(generation)
end

-- second is Redis' clock in Unix seconds.
local function second() return tonumber(redis.call('TIME')[1]) end

-- lapsed returns the lives whose time has passed, as a set, and as a list.
local function lapsed(lives)
  local set, list = {}, {}
  local rows, at = redis.call('HGETALL', lives), second()
  for i = 1, #rows, 2 do
    if (tonumber(rows[i + 1]) or 0) < at then
      set[rows[i]] = true
      list[#list + 1] = rows[i]
    end
  end
  return set, list
end

-- sluice_attend <channel> <life> <ttl seconds> <announces 0|1> <stays 0|1> [+|=|- connection value ...] -> {new, {life, ...}}
--
-- is how a node writes its entries: + a connection that has come, = one that is known to have, - one that has gone. It
-- announces each once, if it is to: what happens a second time announces nothing. stays is 0 where the node has
-- nobody there any more. new is 1 where the life was not known here: if it should have been, its entries are lost. The
-- lives are those whose time has passed, for sluice_sweep.
local function attend(keys, args)
  local channel, life, ttl, announces = keys[1], args[1], integer(args[2] or '', 1, MAX_TTL), args[3] == '1'
  if #keys ~= 1 or not ttl or args[4] == nil or (#args - 4) % 3 ~= 0 then return failure('sluice_attend is for nodes') end
  if string.find(channel, '[{}]') then return failure('a channel has no braces') end
  local who, users, lives = attendance(channel)
  if redis.call('EXISTS', who) == 0 then redis.call('DEL', users) end -- it was evicted alone
  for i = 5, #args, 3 do
    local sign, conn, value = args[i], args[i + 1], args[i + 2]
    if sign == '-' then
      remove(channel, conn, announces)
    elseif redis.call('HSET', who, conn, value) == 1 then
      count_user(users, value, 1)
      if sign == '+' and announces then announce(channel, '+', conn, value) end
    end
  end
  local new = 0
  if args[4] == '1' then
    new = redis.call('HSET', lives, life, text(second() + ttl))
    for _, key in ipairs({ who, users, lives }) do redis.call('EXPIRE', key, text(ttl)) end
  else
    redis.call('HDEL', lives, life)
  end
  local _, list = lapsed(lives)
  return { new, list }
end

local SWEEP = 200 -- entries that are looked at in one call, about

-- sluice_sweep <channel> <life> <generation> <cursor> <announces 0|1> -> {cursor, removed}
--
-- removes what a life wrote before a generation, as far as it finds that in one look; the next goes on at the cursor,
-- until that is 0. The generation - means any: the life has ended, or is not there any more.
local function sweep(keys, args)
  local channel, life, generation, cursor = keys[1], args[1], args[2], args[3]
  if #keys ~= 1 or args[4] == nil or not string.match(cursor or '', '^%d+$') then return failure('sluice_sweep is for nodes') end
  local before = generation == '-' and math.huge or tonumber(generation)
  if not before then return failure('sluice_sweep is for nodes') end
  local who, _, lives = attendance(channel)
  local rows, removed = redis.call('HSCAN', who, cursor, 'COUNT', text(SWEEP)), 0
  for i = 1, #rows[2], 2 do
    local conn, value = rows[2][i], rows[2][i + 1]
    local writer, written = author(value)
    if writer == life and written < before then removed = removed + remove(channel, conn, args[4] == '1') end
  end
  if rows[1] == '0' and generation == '-' then redis.call('HDEL', lives, life) end
  return { rows[1], removed }
end

-- sluice_presence_stats <channel> -> {connections, users}
--
-- is how many are there, and how many users they are, anonymous ones not among them. It costs the same however many.
-- A node's that has died are counted until it is noticed.
local function presence_stats(keys)
  if #keys ~= 1 then return failure('write FCALL sluice_presence_stats 1 <channel>') end
  local who, users = attendance(keys[1])
  return { redis.call('HLEN', who), redis.call('HLEN', users) }
end

local MAX_PRESENT = 10000

local PRESENCE_OPTIONS = {
  limit = between(1, MAX_PRESENT),
  cursor = function(value)
    if string.match(value, '^%d+$') and #value <= 20 then return value end
    return nil, 'must be what the call before has returned'
  end,
}

-- sluice_presence <channel> [limit entries] [cursor cursor] -> {connections, users, cursor, {{connection, entry}, ...}}
--
-- is who is there, in no order: about as many as limit says, 1000 where that is left out, and at most 10000. Where there
-- are more, the cursor is not 0, and the next call with it goes on; who comes or goes between two calls may be missing or
-- be there twice. The two counts are those of sluice_presence_stats, over all. An entry is JSON: user, info, since.
local function presence(keys, args)
  if #keys ~= 1 then return failure('write FCALL sluice_presence 1 <channel> [option value ...]') end
  local o, reason = options(args, 1, PRESENCE_OPTIONS)
  if not o then return failure(reason) end
  local who, users, lives = attendance(keys[1])
  local rows, gone, entries = redis.call('HSCAN', who, o.cursor or '0', 'COUNT', text(o.limit or 1000)), lapsed(lives), {}
  for i = 1, #rows[2], 2 do
    if not gone[author(rows[2][i + 1]) or ''] then entries[#entries + 1] = { rows[2][i], rows[2][i + 1] } end
  end
  return { redis.call('HLEN', who), redis.call('HLEN', users), rows[1], entries }
end

register('sluice_attend', attend)
register('sluice_sweep', sweep)
register_reader('sluice_presence', presence)
register_reader('sluice_presence_stats', presence_stats)
