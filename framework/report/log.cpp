#include "framework/report/log.h"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <mutex>
#include <string>

#include "framework/core/check.h"
#include "framework/report/console.h"

namespace noisette {
namespace {

/// Passes messages to the console, which knows how to keep the progress bar below them.
class ConsoleSink final : public spdlog::sinks::base_sink<std::mutex> {
 protected:
  void sink_it_(const spdlog::details::log_msg& m) override {
    const std::string_view text(m.payload.data(), m.payload.size());
    if (m.level == spdlog::level::warn) {
      console().line(fmt::format("warning: {}", text));
    } else if (m.level >= spdlog::level::err) {
      console().line(fmt::format("error: {}", text));
    } else {
      console().line(text);
    }
  }
  void flush_() override {}
};

spdlog::level::level_enum level_from_name(std::string_view name) {
  constexpr std::pair<std::string_view, spdlog::level::level_enum> kLevels[] = {
      {"debug", spdlog::level::debug},
      {"info", spdlog::level::info},
      {"warn", spdlog::level::warn},
      {"error", spdlog::level::err}};
  for (const auto& [known, level] : kLevels)
    if (known == name) return level;
  fail("[log] level must be debug, info, warn or error; got {}", name);
}

}  // namespace

void set_up_log(std::string_view level, const std::filesystem::path& file) {
  auto logger = std::make_shared<spdlog::logger>("noisette", std::make_shared<ConsoleSink>());
  if (!file.empty()) {
    std::shared_ptr<spdlog::sinks::sink> sink;
    try {
      sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(file.string());
    } catch (const spdlog::spdlog_ex& e) {
      throw Error(fmt::format("[log] cannot write {}: {}", file.string(), e.what()));
    }
    sink->set_pattern("%Y-%m-%dT%H:%M:%S%z %l %v");
    logger->sinks().push_back(std::move(sink));
  }
  logger->set_level(level_from_name(level));
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace noisette
