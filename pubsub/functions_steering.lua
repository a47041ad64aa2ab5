
-- What nodes are told to do about their clients. Every node reads this log, so that what it is told while Redis, or the
-- way to it, was gone for a moment is not lost:
--
--   sluice:{control}.log             stream, as that of a durable channel; d is a command, JSON
--   sluice:{control}.meta            hash, as there
--   sluice:{control}.revoked         sorted set: "t <jti>" or "u <user>" -> the Unix second until which it is revoked
--   sluice:{control}.revoked.before  hash: user -> the Unix second until which his tokens were issued that are revoked
--
-- Where the prefix is another one, and in a Cluster, where the call has to find the slot, the key is named:
-- FCALL sluice_disconnect 1 sluice:{control} user 42. Elsewhere 0 keys will do.
local CONTROL = '{control}'
local CONTROL_SIZE = 10000   -- entries
local CONTROL_TTL = 86400    -- seconds
local MAX_NAME = 255         -- bytes of a user, a token's jti, a channel
local MAX_REASON = 123       -- bytes, as many as fit into a close frame
local MAX_REVOKED = 100000   -- tokens and users
local CODE, CODE_REVOKED = 4500, 4501

-- control_of returns the key of the control log, or nil and why not.
local function control_of(keys)
  if #keys > 1 then return nil, 'the one key that there may be is <prefix>{control}' end
  local control = keys[1] or 'sluice:' .. CONTROL
  if string.sub(control, -#CONTROL) ~= CONTROL then return nil, 'the key must be <prefix>{control}, as sluice:{control}' end
  local there = redis.pcall('EXISTS', control .. '.meta')
  if type(there) == 'table' and there.err then
    local elsewhere = string.find(there.err, 'non local key', 1, true)
    return nil, (elsewhere and 'name the key, so that the call finds its place in the Cluster: 1 ' .. control .. ': ' or '') .. there.err
  end
  return control
end

local function is_name(value)
  return value and #value >= 1 and #value <= MAX_NAME and not string.find(value, '%c')
end

-- steer writes a command into the log and has the nodes read it.
local function steer(control, command)
  local log, meta = log_of(control)
  local refusal = astray(log, meta)
  if refusal then return refusal end
  local last, epoch, at = state(log, meta)
  local position = math.max(at, last + 1)
  redis.call('XADD', log, 'MAXLEN', text(CONTROL_SIZE), text(position) .. '-0', 'p', text(last), 'd', cjson.encode(command))
  redis.call('EXPIRE', log, text(CONTROL_TTL))
  redis.call('HSET', meta, 'last', text(position), 'epoch', epoch)
  redis.call('EXPIRE', meta, text(CONTROL_TTL + META_TTL))
  return { position, broadcast(control, text(position)) }
end

-- target reads whom a command is about: user <id>, conn <name> or token <jti>, those that are possible here.
local function target(args, possible)
  local kind = string.lower(args[1] or '')
  if not possible[kind] then return nil end
  if not is_name(args[2]) then return nil end
  return { [kind] = args[2] }
end

-- closing reads the code and the reason of a close frame, or returns why not.
local function closing(command, code, reason)
  if code then
    command.code = integer(code, 4000, 4999)
    if not command.code then return 'the close code must be a number from 4000 to 4999' end
  end
  if reason then
    if #reason > MAX_REASON or string.find(reason, '%c') then return 'the reason must be at most ' .. MAX_REASON .. ' bytes, in one line' end
    command.reason = reason
  end
end

-- sluice_disconnect user <id> | conn <connection> [code [reason]] -> {position, nodes}
--
-- closes a user's connections, or one, on whatever node they are, with a close code from 4000 to 4999, 4500 where it is
-- left out. Nothing keeps the client from coming back: see sluice_revoke. nodes is how many have heard of it at once; the
-- others do within a second.
--
-- sluice_disconnect token <jti> [code [reason]] -> {position, nodes}
--
-- is sluice_revoke token <jti>, with another code and reason than that has.
local revoke_token

local function disconnect(keys, args)
  local control, reason = control_of(keys)
  if not control then return failure(reason) end
  local command = target(args, { user = true, conn = true, token = true })
  if not command or #args > 4 then return failure('write FCALL sluice_disconnect 0 user|conn|token <id> [code [reason]]') end
  reason = closing(command, args[3] or text(command.token and CODE_REVOKED or CODE), args[4])
  if reason then return failure(reason) end
  if command.token then return revoke_token(control, command, 86400) end
  command['do'] = 'disconnect'
  return steer(control, command)
end

-- remember keeps a revocation, unless there are too many.
local function remember(control, member, till)
  local revoked, before = control .. '.revoked', control .. '.revoked.before'
  local at = second()
  local over = redis.call('ZRANGEBYSCORE', revoked, '-inf', '(' .. text(at), 'LIMIT', '0', '100')
  for _, old in ipairs(over) do
    redis.call('ZREM', revoked, old)
    if string.sub(old, 1, 2) == 'u ' then redis.call('HDEL', before, string.sub(old, 3)) end
  end
  local known = redis.call('ZSCORE', revoked, member)
  if not known and redis.call('ZCARD', revoked) >= MAX_REVOKED then
    return failure('there are ' .. text(MAX_REVOKED) .. ' revocations already: give tokens shorter lives, and revocations a ttl')
  end
  if not known or tonumber(known) < till then redis.call('ZADD', revoked, text(till), member) end
  for _, key in ipairs({ revoked, before }) do
    if redis.call('TTL', key) < till - at then redis.call('EXPIRE', key, text(till - at)) end
  end
end

revoke_token = function(control, command, ttl)
  local till = second() + ttl
  local refused = remember(control, 't ' .. command.token, till)
  if refused then return refused end
  command['do'], command.till = 'revoke', till
  return steer(control, command)
end

local function revoke_user(control, command, ttl)
  local at = second()
  local refused = remember(control, 'u ' .. command.user, at + ttl)
  if refused then return refused end
  redis.call('HSET', control .. '.revoked.before', command.user, text(at))
  if redis.call('TTL', control .. '.revoked.before') < ttl then redis.call('EXPIRE', control .. '.revoked.before', text(ttl)) end
  command['do'], command.till, command.before = 'revoke', at + ttl, at
  return steer(control, command)
end

-- sluice_revoke token <jti> | user <id> [ttl seconds] -> {position, nodes}
--
-- makes a token invalid, by its jti, or all tokens of a user that were issued until now, in Redis' seconds, and those
-- without iat; closes the connections that showed them, with code 4501; and has every node refuse them, also such that
-- start later, for ttl seconds, a day where that is left out: give it what is left of the longest life of the tokens.
local function revoke(keys, args)
  local control, reason = control_of(keys)
  if not control then return failure(reason) end
  local command = target(args, { user = true, token = true })
  if not command then return failure('write FCALL sluice_revoke 0 token|user <id> [ttl seconds]') end
  local o
  o, reason = options(args, 3, { ttl = between(1, MAX_TTL) })
  if not o then return failure(reason) end
  command.code = CODE_REVOKED
  return (command.token and revoke_token or revoke_user)(control, command, o.ttl or 86400)
end

-- membership makes sluice_subscribe and sluice_unsubscribe.
local function membership(name)
  return function(keys, args)
    local control, reason = control_of(keys)
    if not control then return failure(reason) end
    local command = target(args, { user = true, conn = true })
    if not command or #args ~= 3 then return failure('write FCALL sluice_' .. name .. ' 0 user|conn <id> <channel>') end
    if not is_name(args[3]) or string.find(args[3], '[%s{}%*%?%[%]\\]') then return failure('no channel can have this name') end
    command['do'], command.channel = name, args[3]
    return steer(control, command)
  end
end

-- sluice_subscribe user <id> | conn <connection> <channel> -> {position, nodes}
--
-- subscribes the connections that a user has now, or one, to a channel, given without prefix, whatever the
-- namespaces say: the caller decides. It ends with the connection.
--
-- sluice_unsubscribe user <id> | conn <connection> <channel> -> {position, nodes}
--
-- ends that, and what they have subscribed to themselves. Nothing keeps them from subscribing again.

-- sluice_revocations [cursor] -> {cursor, {{member, till, before}, ...}}
--
-- is how a node that starts reads what is revoked.
local function revocations(keys, args)
  local control, reason = control_of(keys)
  if not control then return failure(reason) end
  local cursor = args[1] or '0'
  if not string.match(cursor, '^%d+$') or #cursor > 20 then return failure('sluice_revocations is for nodes') end
  local rows, list, at = redis.call('ZSCAN', control .. '.revoked', cursor, 'COUNT', '500'), {}, second()
  for i = 1, #rows[2], 2 do
    local member, till = rows[2][i], tonumber(rows[2][i + 1])
    if till >= at then
      local before = string.sub(member, 1, 2) == 'u ' and redis.call('HGET', control .. '.revoked.before', string.sub(member, 3))
      list[#list + 1] = { member, till, before and tonumber(before) or 0 }
    end
  end
  return { rows[1], list }
end

register_anyway('sluice_disconnect', disconnect)
register_anyway('sluice_revoke', revoke)
register_anyway('sluice_subscribe', membership('subscribe'))
register_anyway('sluice_unsubscribe', membership('unsubscribe'))
register_reader('sluice_revocations', revocations)
