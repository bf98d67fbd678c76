---@meta asyncrt.html
-- luacheck: ignore 212 241

---@class asyncrt.html.Options
---@field base string? the URL of the page, to resolve its links
---@field all boolean? also links that a reader does not follow
---@field charset string? the encoding that the page came with
---@field agent string? whose meta element counts beside that for robots
---@field max_links number? default 100000

---@class asyncrt.html.Link
---@field url string
---@field tag string
---@field attribute string
---@field rel string?
---@field nofollow true? robots are asked not to follow it

---@class asyncrt.html.Page
---@field noindex boolean
---@field nofollow boolean
---@field base string?
---@field charset string
---@field truncated boolean there were more links than `max_links`

---@class asyncrt.html.Parser
local parser = {}

--- Parses some bytes of the page, split anywhere.
---@param bytes string
function parser:feed(bytes) end

--- Ends the page.
---@return asyncrt.html.Link[] links
---@return asyncrt.html.Page about
function parser:finish() end

---@class asyncrt.html
local html = {}

--- The links of a page that is here as a whole.
---@param page string
---@param options asyncrt.html.Options?
---@return asyncrt.html.Link[] links
---@return asyncrt.html.Page about
function html.links(page, options) end

--- A parser that is given a page piece by piece.
---@param options asyncrt.html.Options?
---@return asyncrt.html.Parser
function html.parser(options) end

return html
