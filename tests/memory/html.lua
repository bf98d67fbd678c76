-- component: html
-- A parser and its links, whole and in pieces.
local html = require("asyncrt.html")
if not ... then return end

local page = [[<meta charset=koi8-r><base href=b><meta name=robots content=none>
<a href="x?a&amp;b" rel=r>x</a><script>y</script><img src=i>]]
for _ = 1, 2 do
  local links, about = html.links(page, { all = true })
  assert(#links == 2 and links[1].url == "x?a&b" and about.nofollow)
  local parser = html.parser({ agent = "bot" })
  for i = 1, #page, 20 do parser:feed(page:sub(i, i + 19)) end
  assert(#parser:finish() == 1)
  html.parser():feed(page)
end
