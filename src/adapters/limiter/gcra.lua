-- GCRA over all buckets of one reservation: all are charged, or none. The same arithmetic as gcra.rs.
--
-- KEYS      the buckets; all in one cluster slot
-- ARGV[1]   1 = charge, -1 = give one charge back
-- ARGV[2]   now in µs since the Unix epoch; 0 = the server's own clock
-- ARGV[3..] for each bucket: µs that a full bucket takes to drain, µs that one charge takes to drain
-- Returns   0, or the µs until all buckets have room
--
-- A value is the time in µs at which the bucket will be empty, written with %.0f: tostring() would keep only 14 of
-- its 16 digits. An empty bucket is no key.
local now = tonumber(ARGV[2])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end

local function keep(key, tat)
  redis.call('SET', key, string.format('%.0f', tat), 'PX', math.ceil((tat - now) / 1000))
end

if ARGV[1] == '-1' then
  for i = 1, #KEYS do
    local tat = tonumber(redis.call('GET', KEYS[i]) or '')
    if tat then
      tat = tat - ARGV[2 * i + 2]
      if tat > now then
        keep(KEYS[i], tat)
      else
        redis.call('DEL', KEYS[i])
      end
    end
  end
  return 0
end

local charged = {}
local wait = 0
for i = 1, #KEYS do
  local full_at = now + ARGV[2 * i + 1]
  local tat = tonumber(redis.call('GET', KEYS[i]) or '') or now
  -- Fuller than full: a clock went back or a quota shrank. Written even with a refusal, or the bucket would be
  -- closed until the clock has caught up.
  if tat > full_at then
    tat = full_at
    keep(KEYS[i], tat)
  end
  tat = math.max(now, tat) + ARGV[2 * i + 2]
  wait = math.max(wait, tat - full_at)
  charged[i] = tat
end
if wait > 0 then
  return wait
end
for i = 1, #KEYS do
  keep(KEYS[i], charged[i])
end
return 0
