module keywright.test/flow

go 1.19

require keywright.test/openapi v0.0.0

require gopkg.in/validator.v2 v2.0.1

replace keywright.test/openapi => ./openapi

replace gopkg.in/validator.v2 => ./validator
