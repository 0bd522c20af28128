# SPDX-License-Identifier: GPL-2.0-only
# Copyright (c) 2026 the barter developers
#
# jq --slurpfile schema SCHEMA -f schema.jq: what of each input is not as the schema of
# doc/json.md says it, one string for each; nothing if all is. SCHEMA is an array of
# one, as jq makes it.

def allowed($schema):
	. as $value
	| if $schema[0:1] == "=" then
		any($schema[1:] | split("|")[]; . == $value)
	else
		any($schema | split("|")[]; . == ($value | type))
	end;

def faults($schema; $path):
	. as $value
	| if ($schema | type) == "object" then
		if type != "object" then
			"\($path): \(type), not an object"
		else
			($schema | to_entries[]
			| (.key | rtrimstr("?")) as $key | .key as $written | .value as $below
			| if $value | has($key) then
				$value[$key] | faults($below; "\($path).\($key)")
			elif $written != $key then
				empty
			else
				"\($path).\($key): missing"
			end),
			(keys - ($schema | keys | map(rtrimstr("?"))) | .[]
			| "\($path).\(.): not documented")
		end
	elif ($schema | type) == "array" then
		if type != "array" then
			"\($path): \(type), not an array"
		else
			to_entries[] | .key as $at | .value | faults($schema[0]; "\($path)[\($at)]")
		end
	elif allowed($schema) then
		empty
	else
		"\($path): \(tojson), not \($schema)"
	end;

faults($schema[0]; "")
