---@meta asyncrt.robots
-- luacheck: ignore 212 241

---@class asyncrt.robots.Rules
---@field sitemaps string[]
local rules = {}

--- Whether an agent may fetch a page.
---@param agent string such as "mybot" or "mybot/1.0"
---@param path string path and query, or a whole URL
---@return boolean
function rules:allowed(agent, path) end

--- The seconds that an agent is asked to leave between two pages.
---@param agent string
---@return number? seconds
function rules:crawl_delay(agent) end

---@class asyncrt.robots.Asked
---@field noindex boolean
---@field nofollow boolean

---@class asyncrt.robots
local robots = {}

--- Reads a robots.txt; what it does not understand it skips.
---@param text string of which the first 500 KiB count
---@return asyncrt.robots.Rules
function robots.parse(text) end

--- What the field X-Robots-Tag of a response asks.
---@param value string|string[]|nil the field, or several
---@param agent string? what is for it counts beside what is for all
---@return asyncrt.robots.Asked
function robots.parse_tag(value, agent) end

return robots
