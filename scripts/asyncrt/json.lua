--- JSON: text from values, and values from text.
return require("asyncrt.core.json")
