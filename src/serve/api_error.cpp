#include "serve/api_error.h"

#include <nlohmann/json.hpp>

namespace tessera::serve {
namespace {

const char* type_of(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 429:
      return "rate_limit_error";
    default:
      return status < 500 ? "invalid_request_error" : "server_error";
  }
}

}  // namespace

ApiError as_api_error(const Error& error) {
  switch (error.kind()) {
    case ErrorKind::bad_input:
    case ErrorKind::bad_usage:
      return {400, error.what(), "", "invalid_value"};
    case ErrorKind::limit:
      return {400, error.what(), "", "limit_exceeded"};
    case ErrorKind::unsupported:
      return {400, error.what(), "", "unsupported"};
    case ErrorKind::cancelled:
      return {503, error.what(), "", "cancelled"};
    default:
      return {500, error.what(), "", "internal"};
  }
}

std::string error_body(const ApiError& error) {
  const auto or_null = [](const std::string& text) {
    return text.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(text);
  };
  const nlohmann::ordered_json body = {{"error",
                                        {{"message", error.what()},
                                         {"type", type_of(error.status())},
                                         {"param", or_null(error.param())},
                                         {"code", or_null(error.code())}}}};
  return body.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

HttpResponse error_response(const ApiError& error) {
  HttpResponse response{.status = error.status(), .body = error_body(error)};
  if (error.retry_after_seconds > 0) {
    response.headers.emplace_back("Retry-After", std::to_string(error.retry_after_seconds));
  }
  return response;
}

}  // namespace tessera::serve
