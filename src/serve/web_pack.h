// The bytes of the page as the build packed them (web/build.mjs). Read by serve/web_assets.h.
#pragma once
#include <string_view>

namespace tessera::serve {

std::string_view embedded_web_pack();

}  // namespace tessera::serve
