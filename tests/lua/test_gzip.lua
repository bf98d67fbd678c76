-- asyncrt: --virtual-time
-- component: zlib
-- Strings compressed by gzip, and back.
local gzip = require("asyncrt.gzip")
local harness = require("harness")
local lu = require("luaunit")
local rt = require("asyncrt")

local function random_bytes(size)
  local bytes = {}
  for i = 1, size do bytes[i] = string.char(math.random(0, 255)) end
  return table.concat(bytes)
end

TestRoundTrip = {}

function TestRoundTrip:test_every_size_around_a_slice()
  local text = ("0123456789"):rep(14000)
  for _, size in ipairs({ 0, 1, 100, 65535, 65536, 65537, 131071, 131072, 131073, 140000 }) do
    local data = text:sub(1, size)
    lu.assertTrue(gzip.decompress(gzip.compress(data)) == data, size)
  end
end

function TestRoundTrip:test_bytes_that_do_not_shrink()
  local data = random_bytes(harness.rounds(200000))

  lu.assertTrue(gzip.decompress(gzip.compress(data)) == data)
end

function TestRoundTrip:test_levels()
  local data = ("to be or not to be, "):rep(1000)

  lu.assertTrue(#gzip.compress(data, { level = 9 }) < #gzip.compress(data, { level = 1 }))
  lu.assertTrue(#gzip.compress(data, { level = 0 }) > #data)
end

function TestRoundTrip:test_other_tasks_run_meanwhile()
  local turns = 0
  local other <close> = rt.group()
  other:spawn_with({ daemon = true }, function()
    while true do
      turns = turns + 1
      rt.yield()
    end
  end)

  local data = ("x"):rep(1000000)
  local compressed = gzip.compress(data)
  lu.assertTrue(turns >= 14)
  turns = 0
  gzip.decompress(compressed)
  lu.assertTrue(turns >= 14)
end

TestFormat = {}

-- What gzip(1) makes of "hello\n", with a file's name in its head.
local HELLO = "\31\139\8\8\0\0\0\0\0\3hello\0\203\72\205\201\201\231\2\0\32\48\58\54\6\0\0\0"

function TestFormat:test_what_others_have_made()
  lu.assertEquals(gzip.decompress(HELLO), "hello\n")
  lu.assertEquals(gzip.decompress(HELLO .. HELLO), "hello\nhello\n")
end

function TestFormat:test_what_is_no_gzip()
  for _, data in ipairs({ "hello", HELLO .. "rest", "\31\139\7" .. HELLO:sub(4), HELLO:gsub("\203", "\204"),
    HELLO:sub(1, -9) .. "\0\0\0\0" .. HELLO:sub(-4) }) do
    lu.assertEquals(select(3, gzip.decompress(data)), "EENCODING")
  end
end

function TestFormat:test_what_is_cut_short()
  for size = 0, #HELLO - 1 do
    lu.assertEquals(select(3, gzip.decompress(HELLO:sub(1, size))), "ETRUNCATED", size)
  end
end

TestLimit = {}

function TestLimit:test_size()
  local data = gzip.compress(random_bytes(5000))

  lu.assertEquals(#gzip.decompress(data, { max = 5000 }), 5000)
  lu.assertEquals({ gzip.decompress(data, { max = 4999 }) }, { nil, "decompress: more than 4999 bytes", "ELIMIT" })
end

function TestLimit:test_a_bomb()
  local data = gzip.compress(("\0"):rep(2000000))

  lu.assertEquals({ gzip.decompress(data) }, { nil, "decompress: more than 100 times as long", "EBOMB" })
  lu.assertEquals(#gzip.decompress(data, { ratio = math.huge }), 2000000)
  lu.assertEquals(#gzip.decompress(gzip.compress(("\0"):rep(1000000))), 1000000)
end

function TestLimit:test_wrong_arguments_raise()
  lu.assertErrorMsgContains("string expected, got nil", gzip.compress)
  lu.assertErrorMsgContains("option 'level': integer from 0 to 9", gzip.compress, "", { level = 10 })
  lu.assertErrorMsgContains("string expected, got number", gzip.decompress, 5)
  lu.assertErrorMsgContains("unknown option 'maximum'", gzip.decompress, "", { maximum = 1 })
  lu.assertErrorMsgContains("test_gzip.lua:", function() gzip.compress() end)
end

harness.run()
