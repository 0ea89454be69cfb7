"""What the destination `redis` has the server do, as scripts: each runs alone and whole."""

# Never a clock of ours, and above every ticket before it even if the counter was evicted.
TICKET = """
local now = redis.call('TIME')
local ticket = now[1] * 1000000 + now[2]
local last = tonumber(redis.call('HGET', KEYS[1], 'ticket') or '0')
if ticket <= last then ticket = last + 1 end
redis.call('HSET', KEYS[1], 'ticket', string.format('%.0f', ticket))
return string.format('%.0f', ticket)
"""
# KEYS: the sync's fence, the batch's key, then the rows' keys.
# ARGV: ticket, mode, TTL, days of the batch's key in seconds, then a row: operation, how many
# arguments follow, and names and values (no value: an empty name before the field's name).
WRITE = """
local done = redis.call('GET', KEYS[2])
if done then return {'done', done} end
local last = tonumber(redis.call('HGET', KEYS[1], 'written') or '0')
if tonumber(ARGV[1]) <= last then return {'late', ''} end
local mode, ttl, at, told = ARGV[2], tonumber(ARGV[3]), 5, {}
for row = 3, #KEYS do
    local key, operation, count = KEYS[row], ARGV[at], tonumber(ARGV[at + 1])
    local kind = redis.call('TYPE', key)['ok']
    local answer = '-'
    if kind ~= 'none' and kind ~= 'hash' then
        answer = 'wrong_type'
    elseif operation == 'remove' then
        redis.call('DEL', key)
    elseif kind == 'none' and mode == 'update_only' then
        answer = 'not_there'
    elseif kind == 'none' or mode ~= 'add_only' then
        for field = at + 2, at + 1 + count, 2 do
            if ARGV[field] == '' then
                redis.call('HDEL', key, ARGV[field + 1])
            else
                redis.call('HSET', key, string.sub(ARGV[field], 2), ARGV[field + 1])
            end
        end
        if ttl > 0 then redis.call('EXPIRE', key, ttl) end
    end
    told[#told + 1] = answer
    at = at + 2 + count
end
local answers = table.concat(told, ',')
redis.call('HSET', KEYS[1], 'written', ARGV[1])
redis.call('SET', KEYS[2], answers, 'EX', ARGV[4])
return {'done', answers}
"""
