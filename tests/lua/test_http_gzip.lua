-- asyncrt: --virtual-time
-- component: zlib
-- Responses that are compressed by gzip.
local gzip = require("asyncrt.gzip")
local harness = require("harness")
local http = require("asyncrt.http")
local lu = require("luaunit")
local rt = require("asyncrt")
local testing = require("asyncrt.testing")

local TEXT = ("to be or not to be, "):rep(100)

-- The fields of the response to a request, and its body as it was sent.
local function ask(handler, request, options)
  local listener = testing.listener()
  local task = rt.spawn(http.serve, listener, http.gzip(handler, options), { on_error = "fail" })
  local conn <close> = listener:dial()
  conn:write((request or "GET / HTTP/1.1\nAccept-Encoding: gzip"):gsub("\n", "\r\n") .. "\r\nHost: h\r\n\r\n")
  conn:shutdown()
  local answer = conn:read_all()
  task:cancel()
  task:join()
  local head, body = answer:match("^(.-)\r\n\r\n(.*)$")
  local fields = { status = tonumber(head:match(" (%d+)")) }
  for name, value in head:gmatch("\r\n([^:]+): ([^\r]*)") do fields[name:lower()] = value end
  if fields["transfer-encoding"] then
    local pieces = {}
    while body ~= "0\r\n\r\n" do
      local size, rest = body:match("^(%x+)\r\n(.*)$")
      size = tonumber(size, 16)
      pieces[#pieces + 1] = rest:sub(1, size)
      body = rest:sub(size + 3)
    end
    return fields, table.concat(pieces), pieces
  end
  return fields, body
end

local function text_handler(headers, status)
  return function(_, res)
    res.status = status
    res.headers["Content-Type"] = "text/plain; charset=utf-8"
    for name, value in pairs(headers or {}) do res.headers[name] = value end
    res:send(TEXT)
  end
end

TestSend = {}

function TestSend:test_a_text()
  local fields, body = ask(text_handler())

  lu.assertEquals(fields["content-encoding"], "gzip")
  lu.assertEquals(fields.vary, "Accept-Encoding")
  lu.assertEquals(tonumber(fields["content-length"]), #body)
  lu.assertTrue(#body < 200)
  lu.assertEquals(gzip.decompress(body), TEXT)
end

function TestSend:test_a_large_one_goes_in_pieces_with_turns_between()
  local large = TEXT:rep(200)
  local turns = 0
  local function handler(_, res)
    local other <close> = rt.group()
    other:spawn(function()
      for _ = 1, 5 do
        rt.yield()
        turns = turns + 1
      end
    end)
    rt.yield()
    res.headers["Content-Type"] = "application/json"
    res.headers["Content-Length"] = #large
    res:send(large)
    lu.assertEquals(turns, 5)
    turns = 0
  end

  for _, field in ipairs({ "Accept", "Connection: close\nAccept" }) do
    local fields, body = ask(handler, "GET / HTTP/1.1\n" .. field .. "-Encoding: gzip")

    lu.assertEquals(fields["content-encoding"], "gzip")
    lu.assertNil(fields["content-length"])
    lu.assertTrue(gzip.decompress(body) == large)
  end
end

function TestSend:test_a_small_one_stays()
  local fields, body = ask(function(_, res)
    res.headers["Content-Type"] = "text/plain"
    res:send("small")
  end)

  lu.assertNil(fields["content-encoding"])
  lu.assertNil(fields.vary)
  lu.assertEquals(body, "small")
  lu.assertEquals(ask(text_handler(), nil, { min_size = #TEXT })["content-encoding"], "gzip")
  lu.assertNil(ask(text_handler(), nil, { min_size = #TEXT + 1 })["content-encoding"])
end

function TestSend:test_types()
  for content_type, shrinks in pairs({ ["text/html"] = true, ["Application/JSON;x"] = true,
    ["image/svg+xml"] = true, ["application/ld+json"] = true, ["image/png"] = false,
    ["application/octet-stream"] = false, ["video/text/x"] = false, [""] = false }) do
    local fields = ask(text_handler({ ["Content-Type"] = content_type }))

    lu.assertEquals(fields["content-encoding"] == "gzip", shrinks, content_type)
  end
end

function TestSend:test_what_is_never_compressed()
  for status, headers in pairs({
    [200] = { ["content-encoding"] = "br" },
    [201] = { ["Cache-Control"] = "public, no-transform" },
    [206] = { ["Content-Range"] = "bytes 0-1999/5000" },
    [207] = { ["Content-Range"] = "bytes 0-1999/5000" },
    [304] = {},
  }) do
    local fields, body = ask(text_handler(headers, status))

    lu.assertNotEquals(fields["content-encoding"], "gzip", status)
    lu.assertTrue(body == TEXT or body == "")
  end
  local fields, body = ask(text_handler(), "HEAD / HTTP/1.1\nAccept-Encoding: gzip")
  lu.assertEquals({ fields["content-encoding"], fields.vary, fields["content-length"], body },
    { nil, "Accept-Encoding", tostring(#TEXT), "" })
end

function TestSend:test_fields_that_change_with_it()
  local fields = ask(text_handler({ etag = '"1"', vary = "Cookie", ["Accept-Ranges"] = "bytes" }))

  lu.assertEquals({ fields.etag, fields.vary, fields["accept-ranges"] }, { 'W/"1"', "Cookie, Accept-Encoding" })
  fields = ask(text_handler({ ETag = 'W/"1"', Vary = { "Cookie", "Accept-Encoding" } }))
  lu.assertEquals({ fields.etag, fields.vary }, { 'W/"1"', "Accept-Encoding" }) -- the last field
  lu.assertEquals(ask(text_handler({ vary = "*" })).vary, "*")
end

TestNegotiation = {}

function TestNegotiation:test_quality_values()
  for field, wanted in pairs({
    ["gzip"] = true, ["deflate, GZIP;q=0.5"] = true, ["x-gzip"] = true, ["*"] = true,
    ["gzip;q=1.0, identity; q=0.5, *;q=0"] = true, ["br;q=1.0,gzip;q=0.8"] = true,
    [""] = false, ["br"] = false, ["gzip;q=0"] = false, ["gzip; q=0.000"] = false, ["*;q=0"] = false,
    ["gzip;q=0, *"] = false, ["identity"] = false, ["gzip;q=0.2, identity;q=0.8"] = false, ["gzipped"] = false,
  }) do
    local fields, body = ask(text_handler(), "GET / HTTP/1.1\nAccept-Encoding: " .. field)

    lu.assertEquals(fields["content-encoding"] == "gzip", wanted, field)
    lu.assertEquals(fields.vary, "Accept-Encoding", field)
    lu.assertEquals(wanted and gzip.decompress(body) or body, TEXT)
  end
end

function TestNegotiation:test_without_the_field()
  local fields, body = ask(text_handler(), "GET / HTTP/1.1")

  lu.assertEquals({ fields["content-encoding"], fields.vary, body }, { nil, "Accept-Encoding", TEXT })
end

TestStream = {}

local function stream_handler(_, res)
  res.headers["Content-Type"] = "text/event-stream"
  for i = 1, 3 do
    res:write("data: " .. i .. "\n\n")
    rt.sleep(1)
  end
end

function TestStream:test_each_write_reaches_the_client()
  local listener = testing.listener()
  local task = rt.spawn(http.serve, listener, http.gzip(stream_handler), { on_error = "fail" })
  local conn <close> = listener:dial()
  conn:write("GET / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n")
  conn:read_until("\r\n\r\n")
  local inflater = require("asyncrt.core.zlib").inflater()

  for i = 1, 3 do
    local size = tonumber(conn:read_line(), 16)
    local text = inflater:add(conn:read_exact(size), 1, 1000)
    lu.assertEquals(text, "data: " .. i .. "\n\n")
    lu.assertAlmostEquals(rt.now() % 1, 0, 1e-3)
    conn:read_line()
  end
  conn:close()
  task:cancel()
  task:join()
end

function TestStream:test_all_of_it_is_whole()
  local fields, body = ask(stream_handler)

  lu.assertEquals({ fields["content-encoding"], gzip.decompress(body) },
    { "gzip", "data: 1\n\ndata: 2\n\ndata: 3\n\n" })
end

function TestStream:test_pieces_of_a_small_length_stay()
  local fields, body = ask(function(_, res)
    res.headers["Content-Type"] = "text/plain"
    res.headers["content-length"] = 6
    res:write("abc")
    res:write("def")
  end)

  lu.assertEquals({ fields["content-encoding"], fields["content-length"], body }, { nil, "6", "abcdef" })
end

function TestStream:test_a_large_piece()
  local large = TEXT:rep(200)
  local _, body = ask(function(_, res)
    res.headers["Content-Type"] = "text/plain"
    res:write(large)
    res:write("")
    res:write("end")
    res:finish()
  end)

  lu.assertTrue(gzip.decompress(body) == large .. "end")
end

function TestStream:test_http_1_0()
  local fields, body = ask(stream_handler, "GET / HTTP/1.0\nAccept-Encoding: gzip")

  lu.assertEquals({ fields["content-encoding"], fields.connection }, { "gzip", "close" })
  lu.assertEquals(gzip.decompress(body), "data: 1\n\ndata: 2\n\ndata: 3\n\n")
end

function TestStream:test_a_handler_that_sends_nothing()
  local fields, body = ask(function() end)

  lu.assertEquals({ fields.status, fields["content-encoding"], body }, { 200, nil, "" })
end

function TestStream:test_wrong_options_raise()
  lu.assertErrorMsgContains("option 'level'", http.gzip, stream_handler, { level = 0 })
  lu.assertErrorMsgContains("unknown option 'size'", http.gzip, stream_handler, { size = 0 })
end

harness.run()
