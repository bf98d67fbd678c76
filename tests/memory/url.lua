-- component: url
-- Everything uriparser allocates, while Lua cannot.
local url = require("asyncrt.url")
if not ... then return end

for _ = 1, 3 do
  local parts = url.parse("http://user:pass@Example.org:8080/a b/c?d#e")
  assert(parts.path == "/a%20b/c" and parts.port == 8080)
  assert(url.resolve("http://h/a/b/c", "../d/./e?f#g") == "http://h/a/d/e?f#g")
  assert(url.normalise("HTTP://[2001:DB8::0]:80/%7ea/../b") ==
         "http://[2001:db8::]/b")
  assert(select(2, url.parse("http://h:x/")):find("malformed from"))
  assert(not url.resolve("http://h/", "http://["))
  assert(url.parse_query(url.build_query({ a = "b c" })).a == "b c")
end
