// What goes wrong with a request, in the shape that OpenAI's clients understand.
#pragma once
#include <stdexcept>
#include <string>
#include <utility>

#include "base/error.h"
#include "serve/http_message.h"

namespace tessera::serve {

class ApiError : public std::runtime_error {
 public:
  // `param`: the field at fault ("messages[0].content"), empty when none is. `code`: a word for programs.
  ApiError(int status, const std::string& message, std::string param = {}, std::string code = {})
      : std::runtime_error(message), status_(status), param_(std::move(param)), code_(std::move(code)) {}

  int status() const noexcept { return status_; }
  const std::string& param() const noexcept { return param_; }
  const std::string& code() const noexcept { return code_; }
  int retry_after_seconds = 0;  // told to the client when above 0

 private:
  int status_;
  std::string param_;
  std::string code_;
};

// 400 naming a field: "temperature: expected a number in [0, 2], found 7".
template <typename... Arguments>
[[noreturn]] void refuse_field(const std::string& param, fmt::format_string<Arguments...> format,
                               Arguments&&... arguments) {
  throw ApiError(400, param + ": " + fmt::format(format, std::forward<Arguments>(arguments)...), param,
                 "invalid_value");
}

// An engine's or template's Error as an answer: a fault of the request is 400, of ours 500.
ApiError as_api_error(const Error& error);

// {"error": {"message", "type", "param", "code"}}, as JSON text.
std::string error_body(const ApiError& error);
HttpResponse error_response(const ApiError& error);

}  // namespace tessera::serve
