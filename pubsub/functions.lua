-- What services call to drive Sluice, as a library of Redis Functions (FUNCTION LOAD), and, where there are none, as a
-- script (EVALSHA) whose first argument is the name of the function. This file has the durable channels; who is there
-- is in functions_presence.lua, what nodes are told to do in functions_steering.lua; functions_dispatch.lua ends them.
--
-- A channel is given by its name in Redis, prefix included, as the one key: sluice:orders. What belongs to it lies
-- in the same slot of a Cluster:
--
--   {sluice:orders}.log       stream; an entry's id is its position, "<position>-0"; fields: p the position of the
--                             entry before it, d the payload, x the connection that is not to get it
--   {sluice:orders}.meta      hash: last, the position of the newest entry ever; epoch, the position at which it began;
--                             line, what Redis calls the sequence of writes that the last one was made in
--   {sluice:orders}.id.<id>   string: the position of the message that was published with this idempotency key
--
-- A position is one integer below 2^53, Redis' clock in microseconds since 2026 or one more than the last, whichever
-- is more. So it is never handed out again, whatever Redis has forgotten, and it identifies what was published.
local VERSION = 6            -- one more with each change: a node replaces an older library, never a newer one
local BEGAN = 1767225600 -- 2026-01-01 in Unix seconds

local MAX_SIZE = 100000      -- entries
local MAX_TTL = 366 * 86400  -- seconds
local MAX_ID = 128           -- bytes of an idempotency key
local ID_TTL = 300           -- seconds that an idempotency key is remembered, at least
local META_TTL = 31 * 86400  -- seconds that a channel's last position outlives its log
local LINE_AGE = 100000      -- microseconds for which a server's line is not asked for again

local register = redis.register_function
local registered = {} -- for the script
if not register then
  register = function(name, f) registered[name] = f end
end

-- register_anyway registers a function that is called even where Redis has no memory left: what it writes is little, and
-- without it nobody learns what is there.
local function register_anyway(name, f)
  if not redis.register_function then return register(name, f) end
  redis.register_function { function_name = name, callback = f, flags = { 'allow-oom' } }
end

-- register_reader registers a function that changes nothing: FCALL_RO may call it, on a replica, too.
local function register_reader(name, f)
  if not redis.register_function then return register(name, f) end
  redis.register_function { function_name = name, callback = f, flags = { 'no-writes' } }
end

local clustered = nil -- not known yet

-- broadcast publishes to those who listen now. In a Cluster a node listens to the slot's owner.
local function broadcast(channel, message)
  if clustered == nil then
    local info = redis.pcall('CLUSTER', 'INFO')
    clustered = not (type(info) == 'table' and info.err)
  end
  return redis.call(clustered and 'SPUBLISH' or 'PUBLISH', channel, message)
end

-- text writes an integer without exponent.
local function text(number) return string.format('%.0f', number) end

-- integer reads one from least to most.
local function integer(value, least, most)
  local n = string.match(value, '^%d+$') and tonumber(value)
  return n and n >= least and n <= most and n or nil
end

-- now is a position of this moment.
local function now()
  local time = redis.call('TIME')
  return (tonumber(time[1]) - BEGAN) * 1000000 + tonumber(time[2])
end

-- astray returns an error where some of the keys may lie on another server of a Cluster, because their slot is on its
-- way: a channel would begin anew at the one while its log is still at the other, and could not be moved any more. Redis
-- itself looks at the channel's name only, which is no key of either. The caller tries again until the slot has moved.
local function astray(...)
  local found = redis.pcall('EXISTS', ...)
  if type(found) ~= 'table' or not string.find(found.err or '', 'non local key', 1, true) then return nil end
  return redis.error_reply('TRYAGAIN sluice: the channel is on its way to another server')
end

local known, known_at = nil, 0 -- the line, and when that was found out

-- line names the sequence of writes that this server's data is the result of: Redis begins another one, with another
-- replication id, when it starts, and when a replica takes its master's place. nil: the caller may not ask (ACL +info).
local function line(at)
  if not known or math.abs(at - known_at) >= LINE_AGE then
    local info = redis.pcall('INFO', 'replication')
    known, known_at = type(info) == 'string' and string.match(info, 'master_replid:(%x+)') or nil, at
  end
  return known
end

-- state returns the position of the newest message of a channel, the channel's epoch, and a position of this moment. A
-- channel that has none, or whose hash was lost, begins at a position of its own, which nobody else has ever been at:
-- where nothing is known nothing can be proven, not even that nothing was published. So does one that was last written
-- in another line: then messages may have been taken of which this server knows nothing.
local function state(log, meta)
  local was, at = redis.call('HMGET', meta, 'last', 'epoch', 'line'), now()
  local here = line(at)
  if was[1] and was[2] and (was[3] == here or not here) then return tonumber(was[1]), was[2], at end
  local last = math.max(at, (tonumber(was[1]) or 0) + 1)
  local newest = redis.call('XREVRANGE', log, '+', '-', 'COUNT', '1')[1]
  if newest then last = math.max(last, tonumber(string.match(newest[1], '^%d+')) + 1) end
  redis.call('HSET', meta, 'last', text(last), 'epoch', text(last), 'line', here or '')
  redis.call('EXPIRE', meta, text(META_TTL))
  return last, text(last), at
end

-- log_of returns the names of the two keys of a channel's log. The nodes' own channel has its hash tag in its name.
local function log_of(channel)
  local key = string.find(channel, '{', 1, true) and channel or '{' .. channel .. '}'
  return key .. '.log', key .. '.meta'
end

local function failure(reason) return redis.error_reply('ERR sluice: ' .. reason) end

-- options reads pairs of names and values, each checked by its entry in known. It returns them, or nil and why not.
local function options(args, first, known)
  local found = {}
  for i = first, #args, 2 do
    local name, value = string.lower(args[i]), args[i + 1]
    if not known[name] then return nil, 'unknown option ' .. string.sub(args[i], 1, 40) end
    if value == nil then return nil, 'option ' .. name .. ' has no value' end
    local checked, reason = known[name](value)
    if checked == nil then return nil, 'option ' .. name .. ' ' .. reason end
    found[name] = checked
  end
  return found
end

local function between(least, most)
  return function(value)
    return integer(value, least, most), 'must be a number from ' .. text(least) .. ' to ' .. text(most)
  end
end

local function word(most)
  return function(value)
    if #value >= 1 and #value <= most and not string.find(value, '[%s%c]') then return value end
    return nil, 'must be 1 to ' .. most .. ' bytes without spaces'
  end
end

local PUBLISH_OPTIONS = {
  size = between(1, MAX_SIZE), ttl = between(1, MAX_TTL), id = word(MAX_ID), exclude = word(MAX_ID),
}

-- sluice_publish <channel> <payload> [size entries] [ttl seconds] [id key] [exclude connection] -> {position, epoch}
--
-- puts a message into the channel's log and publishes it, as one step. size and ttl say how much of the log is kept,
-- 1000 entries and a day where they are left out; the ttl begins anew with each message. With an id that was seen
-- lately nothing happens, and the position of that message is returned.
local function publish(keys, args)
  local channel, payload = keys[1], args[1]
  if #keys ~= 1 or payload == nil then return failure('write FCALL sluice_publish 1 <channel> <payload> [option value ...]') end
  if string.find(channel, '[{}]') then return failure('a channel has no braces') end
  local o, reason = options(args, 2, PUBLISH_OPTIONS)
  if not o then return failure(reason) end
  local size, ttl = o.size or 1000, o.ttl or 86400
  local log, meta = log_of(channel)
  local memory = o.id and '{' .. channel .. '}.id.' .. o.id
  local refusal = astray(log, meta, memory or meta)
  if refusal then return refusal end
  local last, epoch, at = state(log, meta)
  if memory then
    local seen = redis.call('GET', memory)
    if seen then return { tonumber(seen), epoch } end
  end

  local position = math.max(at, last + 1)
  local entry = { log, 'MAXLEN', text(size), text(position) .. '-0', 'p', text(last), 'd', payload }
  if o.exclude then entry[#entry + 1] = 'x'; entry[#entry + 1] = o.exclude end
  redis.call('XADD', unpack(entry))
  redis.call('EXPIRE', log, text(ttl))
  redis.call('HSET', meta, 'last', text(position), 'epoch', epoch)
  redis.call('EXPIRE', meta, text(ttl + META_TTL))
  if memory then redis.call('SET', memory, text(position), 'EX', text(math.max(ID_TTL, math.min(ttl, 86400)))) end

  -- The receiver tells a durable message from others by its first byte, which begins no text.
  local head = '\1sluice ' .. text(position) .. ' ' .. text(last) .. ' ' .. epoch
  if o.exclude then head = head .. ' ' .. o.exclude end
  broadcast(channel, head .. '\n' .. payload)
  return { position, epoch }
end

-- entry reads a row of a log: {position, before, payload, excluded}
local function entry(row)
  local e = { tonumber(string.match(row[1], '^%d+')), 0, '', '' }
  for i = 1, #row[2], 2 do
    local name, value = row[2][i], row[2][i + 1]
    if name == 'p' then e[2] = tonumber(value) elseif name == 'd' then e[3] = value elseif name == 'x' then e[4] = value end
  end
  return e
end

local HISTORY_OPTIONS = {
  since = between(0, 9007199254740991), before = between(0, 9007199254740991), limit = between(0, MAX_SIZE),
  bytes = between(1, 9007199254740991),
}

local PAGE = 64 -- entries that are read at a time where their bytes are counted

-- after reads what a log holds after a position: limit entries at most, and, but for the first one, of payloads no more
-- than bytes. It returns them, and whether there are more.
local function after(log, since, limit, bytes)
  local entries, size, from = {}, 0, since
  local page = bytes and PAGE or limit + 2
  while true do
    local rows = redis.call('XRANGE', log, text(from) .. '-0', '+', 'COUNT', text(page))
    for _, row in ipairs(rows) do
      local e = entry(row)
      if e[1] ~= since then
        size = size + #e[3]
        if #entries == limit or (bytes and #entries > 0 and size > bytes) then return entries, true end
        entries[#entries + 1] = e
      end
      from = e[1] + 1
    end
    if #rows < page then return entries, false end
  end
end

-- sluice_history <channel> [since position | before position] [limit entries] [bytes bytes] -> {last, epoch, proven, {{position, before, payload, excluded}, ...}, more}
--
-- reads the log, oldest first, what came after a position, or all of it; limit entries at most, 1000 where that is left
-- out. last is the position to go on from. proven is 1 where the entries are everything that was published after since:
-- the first of them names since as the one before, or nothing was published after; and all of them are returned. It is
-- 0 where something may be missing, and always where since is left out.
-- more is 1 where the log holds more behind the entries, because of limit, or of bytes, which their payloads are to have
-- at most; one entry is returned in any case.
-- before has the log read backwards, newest first, from the entry before a position, or with 0 from the newest.
local function history(keys, args)
  local channel = keys[1]
  if #keys ~= 1 then return failure('write FCALL sluice_history 1 <channel> [option value ...]') end
  local o, reason = options(args, 1, HISTORY_OPTIONS)
  if not o then return failure(reason) end
  if o.since and o.before then return failure('give since or before, not both') end
  local since, limit = o.since or 0, o.limit or 1000
  local log, meta = log_of(channel)
  local refusal = astray(log, meta)
  if refusal then return refusal end
  local last, epoch = state(log, meta)
  local entries = {}
  if o.before then
    local from = o.before > 0 and text(o.before - 1) .. '-0' or '+'
    if limit > 0 then
      for _, row in ipairs(redis.call('XREVRANGE', log, from, '-', 'COUNT', text(limit))) do entries[#entries + 1] = entry(row) end
    end
    return { last, epoch, 0, entries, 0 }
  end
  local more
  entries, more = after(log, since, limit, o.bytes)
  local proven, newest = not more, since
  for _, e in ipairs(entries) do
    proven = proven and e[2] == newest
    newest = e[1]
  end
  proven = proven and newest == last -- else the log has lost its end, or begins anew
  return { last, epoch, proven and 1 or 0, entries, more and 1 or 0 }
end

-- sluice_version -> the library's version
local function version() return VERSION end

register('sluice_version', version)
register('sluice_publish', publish)
register_anyway('sluice_history', history)
