// The schemas of /api/sessions and its neighbours for the API's description.
#pragma once
#include "serve/json_fields.h"

namespace tessera::serve {

Json session_schemas();

}  // namespace tessera::serve
