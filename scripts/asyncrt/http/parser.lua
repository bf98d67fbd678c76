--- Parsers of HTTP/1.1 messages: given bytes, they give events.
return require("asyncrt.core.http_parser")
