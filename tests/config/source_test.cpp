// Files that extend files, --set, and input that means harm.
#include "framework/config/source.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "framework/config/config.h"
#include "framework/core/check.h"

namespace noisette::config {
namespace {

namespace fs = std::filesystem;

struct Inner {
  double x = 1, y = 2;
  std::string word = "w";
  void fields(Fields& f) {
    f.add("x", x, {.max = 10, .doc = ""});
    f.add("y", y, {.doc = ""});
    f.add("word", word, {.doc = ""});
  }
};

struct Outer {
  int64_t n = 0;
  std::vector<int64_t> list = {1, 2, 3};
  Inner inner;
  void fields(Fields& f) {
    f.add("n", n, {.doc = ""});
    f.add("list", list, {.doc = ""});
    f.table("inner", inner);
  }
};

class Files : public testing::Test {
 protected:
  Files() : root(fs::temp_directory_path() / fmt::format("noisette config {}", getpid())) {
    fs::create_directories(root / "sub");
  }
  ~Files() override { fs::remove_all(root); }

  fs::path write(const std::string& name, std::string_view text) const {
    std::ofstream(root / name, std::ios::binary) << text;
    return root / name;
  }

  static std::string error_of(const fs::path& path, const std::vector<std::string>& sets = {}) {
    try {
      load<Outer>(path, sets);
    } catch (const UsageError& e) {
      return e.what();
    }
    return "no error";
  }

  const fs::path root;
};

TEST_F(Files, ExtendsMergesTablesAndReplacesTheRest) {
  write("base.toml", "n = 1\nlist = [9]\n[inner]\nx = 3\nword = 'base'\n");
  write("sub/mid.toml", "extends = '../base.toml'\n[inner]\nx = 4\n");
  const fs::path top =
      write("top.toml", "extends = 'sub/mid.toml'\nlist = [7, 7]\n[inner]\ny = 5\n");
  const Outer c = load<Outer>(top);
  EXPECT_EQ(c.n, 1);
  EXPECT_EQ(c.list, (std::vector<int64_t>{7, 7}));
  EXPECT_EQ(c.inner.x, 4);
  EXPECT_EQ(c.inner.y, 5);
  EXPECT_EQ(c.inner.word, "base");
}

TEST_F(Files, AnErrorInTheBasePointsIntoTheBase) {
  const fs::path base = write("base.toml", "n = 1\n\n[inner]\nx = 11\n");
  const fs::path top = write("top.toml", "extends = 'base.toml'\n[inner]\ny = 1\n");
  EXPECT_EQ(error_of(top),
            fmt::format("[config] 'inner.x' must be <= 10; got 11 ({}:4)", base.string()));
}

TEST_F(Files, CirclesAndMissingFiles) {
  const fs::path a = write("a.toml", "extends = 'b.toml'");
  write("b.toml", "extends = './sub/../a.toml'");
  EXPECT_EQ(error_of(a), "[config] 'extends' goes in a circle: 'a.toml' -> 'b.toml' -> 'a.toml'");
  const fs::path self = write("self.toml", "extends = 'self.toml'");
  EXPECT_EQ(error_of(self), "[config] 'extends' goes in a circle: 'self.toml' -> 'self.toml'");
  const fs::path gone = write("gone.toml", "\nextends = 'nowhere.toml'");
  EXPECT_EQ(error_of(gone),
            fmt::format("[config] 'extends' names '{}', which does not exist ({}:2)",
                        (root / "nowhere.toml").string(), gone.string()));
  const fs::path number = write("number.toml", "extends = 3");
  EXPECT_EQ(
      error_of(number),
      fmt::format("[config] 'extends' must be the name of a file; got 3 ({}:1)", number.string()));
  EXPECT_EQ(error_of(root / "absent.toml"),
            fmt::format("[config] cannot open '{}'", (root / "absent.toml").string()));
  EXPECT_EQ(error_of(root),
            fmt::format("[config] a configuration is a file; got the folder '{}'", root.string()));
}

TEST_F(Files, ChainsMayNotGoOnForEver) {
  for (int i = 0; i < 40; ++i)
    write(fmt::format("{}.toml", i), fmt::format("extends = '{}.toml'", i + 1));
  EXPECT_EQ(error_of(root / "0.toml"), "[config] 'extends' may go 16 files deep");
}

TEST_F(Files, OverridesComeLastAndInOrder) {
  const fs::path file = write("c.toml", "n = 1\n[inner]\nx = 3\n");
  const std::vector<std::string> sets = {
      "n=2", "n=3", "inner.x = 0.5", "inner.word=hello there", "list=[4, 5]", "inner={y = 8}"};
  const Outer c = load<Outer>(file, sets);
  EXPECT_EQ(c.n, 3);
  EXPECT_EQ(c.inner.x, 0.5);
  EXPECT_EQ(c.inner.y, 8);
  EXPECT_EQ(c.inner.word, "hello there");
  EXPECT_EQ(c.list, (std::vector<int64_t>{4, 5}));
}

TEST_F(Files, BareWords) {
  const fs::path file = write("c.toml", "");
  for (const std::string word : {"cosine", "/data/set.h5", "./a b.h5", "../x", "~/x", "a#b",
                                 "2024-01-01", "12:30:00", "1e", "été", "a=b", "\"quoted\""}) {
    const Outer c = load<Outer>(file, std::vector<std::string>{"inner.word=" + word});
    EXPECT_EQ(c.inner.word, word == "\"quoted\"" ? "quoted" : word);
  }
}

TEST_F(Files, OverrideErrorsNameTheFlag) {
  const fs::path file = write("c.toml", "n = 1\n");
  const auto error = [&](const std::string& set) { return error_of(file, {set}); };
  EXPECT_EQ(error("inner.x=11"), "[config] 'inner.x' must be <= 10; got 11 (--set inner.x=11)");
  EXPECT_EQ(
      error("iner.x=1"),
      "[config] unknown key 'iner' in the top level, perhaps 'inner'; known: n, list, inner (--set "
      "iner.x=1)");
  EXPECT_EQ(error("n.x=1"), "[config] 'n' must be an integer; got a table {x = 1} (--set n.x=1)");
  EXPECT_EQ(error("n"), "[config] a --set is written key=value; got --set n");
  EXPECT_EQ(error("n="),
            "[config] a --set needs a value; write \"\" for an empty string (--set n=)");
  EXPECT_EQ(error("=1"), "[config] a --set names a key as table.key; got \"\" (--set =1)");
  EXPECT_EQ(error("inner..x=1"),
            "[config] a --set names a key as table.key; got \"inner..x\" (--set inner..x=1)");
  EXPECT_EQ(
      error("list=[1, 2"),
      "[config] the value of a --set must be TOML or a bare word; got '[1, 2' (--set list=[1, 2)");
  EXPECT_EQ(error("n=1\nlist=[1]"),
            "[config] a --set is one line of text; got --set \"n=1\\nlist=[1]\"");
  EXPECT_EQ(error("inner.word=5"),
            "[config] 'inner.word' must be a string; got an integer 5 (write it as '\"5\"') (--set "
            "inner.word=5)");
  EXPECT_EQ(error("inner.word=a\xFF"),
            "[config] a --set must be UTF-8 text (--set inner.word=a\xFF)");
}

std::string text_error(std::string_view text) {
  try {
    from_text<Outer>(text, "h.toml");
  } catch (const UsageError& e) {
    return e.what();
  }
  return "no error";
}

TEST(Hostile, DeepNestingIsRefusedBeforeTheParserRecurses) {
  std::string dots = "a";
  for (int i = 0; i < 100'000; ++i) dots += ".a";
  EXPECT_EQ(text_error(dots + " = 1"),
            "[config] tables and lists may nest 16 deep; got more (h.toml:1)");
  EXPECT_EQ(text_error("[" + dots + "]"),
            "[config] tables and lists may nest 16 deep; got more (h.toml:1)");
  EXPECT_EQ(text_error("\nx = " + std::string(100'000, '[')),
            "[config] tables and lists may nest 16 deep; got more (h.toml:2)");
  // Four quotes close a string that ends in a quote; what follows is not inside a string.
  EXPECT_EQ(text_error("x = [\"\"\"a\"\"\"\", {" + dots + " = 1}]"),
            "[config] tables and lists may nest 16 deep; got more (h.toml:1)");
}

TEST(Hostile, DotsAndBracketsInTextAreText) {
  const std::string noise =
      std::string(50, '[') + " a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t.u.v " + std::string(50, '{');
  const std::string text =
      "# " + noise + "\nn = 1\n[inner]\nword = \"\"\"" + noise + "\\\"\n" + noise + "\"\"\"\n";
  EXPECT_EQ(from_text<Outer>(text, "h.toml").inner.word, noise + "\"\n" + noise);
  EXPECT_EQ(text_error("[inner]\nword = '" + noise + "'"), "no error");
}

TEST(Hostile, OtherRefusals) {
  EXPECT_EQ(text_error(std::string(300 * 1024, '#')),
            "[config] a configuration is at most 256 KiB; 'h.toml' is larger");
  EXPECT_EQ(text_error("n = 2024-01-01"),
            "[config] dates and times are not used here; write a string in quotes (h.toml:1)");
  EXPECT_NE(text_error("n = 99999999999999999999").find("[config] not valid TOML"),
            std::string::npos);
  EXPECT_NE(text_error("n = 1\nn = 2").find("(h.toml:2)"), std::string::npos);
  EXPECT_NE(text_error("n = \"\xFF\xFE\"").find("[config] not valid TOML"), std::string::npos);
  EXPECT_NE(text_error(std::string("n = 1\0", 6)).find("is not a TOML text file"),
            std::string::npos);
  EXPECT_NE(text_error("\"a\\nb\" = 1").find("unknown key '\"a\\nb\"'"), std::string::npos);
  const std::string longer = text_error(std::string(100'000, 'k') + " = 1");
  EXPECT_LT(longer.size(), 300u) << "a message is a sentence, not the file";
  EXPECT_LT(text_error("n = '" + std::string(100'000, 'k') + "'").size(), 300u);
  EXPECT_EQ(text_error("extends = 'x.toml'").find("[config] unknown key 'extends'"), 0u);
}

}  // namespace
}  // namespace noisette::config
