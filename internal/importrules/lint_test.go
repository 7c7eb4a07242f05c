package importrules

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A finding is a place where source breaks a rule of determinism.
type finding struct {
	file string // relative to the module
	line int
	rule string
	text string
}

func (f finding) String() string { return fmt.Sprintf("%s:%d: %s: %s", f.file, f.line, f.rule, f.text) }

// A checker type-checks packages against the export data that `go list` names.
type checker struct {
	files    *token.FileSet
	importer types.Importer
}

type source struct {
	ImportPath string
	Dir        string
	Export     string
	GoFiles    []string
	DepOnly    bool
}

// newChecker lists packages with everything they import and returns those that patterns name.
func newChecker(t *testing.T, patterns ...string) (*checker, []source) {
	t.Helper()
	args := append([]string{"-export", "-deps", "-json=ImportPath,Dir,Export,GoFiles,DepOnly"}, exportFlags...)
	decoder := json.NewDecoder(strings.NewReader(string(list(t, append(args, patterns...)...))))
	exports := map[string]string{}
	var named []source
	for {
		var s source
		if err := decoder.Decode(&s); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		exports[s.ImportPath] = s.Export
		if !s.DepOnly {
			named = append(named, s)
		}
	}
	files := token.NewFileSet()
	return &checker{files, importer.ForCompiler(files, "gc", func(path string) (io.ReadCloser, error) {
		file, ok := exports[path]
		if !ok || file == "" {
			return nil, fmt.Errorf("go list named no export data for %s", path)
		}
		return os.Open(file)
	})}, named
}

// check returns what breaks a rule in one package. Names and contents of the files are given; path is that of the package.
func (c *checker) check(path string, files map[string][]byte) ([]finding, error) {
	var parsed []*ast.File
	names := map[*ast.File]string{}
	sorted := []string{}
	for name := range files {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted)
	for _, name := range sorted {
		file, err := parser.ParseFile(c.files, name, files[name], parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		parsed = append(parsed, file)
		names[file] = name
	}
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: c.importer, GoVersion: "go1.26"}
	if _, err := config.Check(path, c.files, parsed, info); err != nil {
		return nil, err
	}
	var found []finding
	for _, file := range parsed {
		w := &walker{files: c.files, name: names[file], info: info, excused: map[*ast.Ident]bool{}}
		w.imports(file)
		for _, d := range file.Decls {
			w.function = ""
			if f, ok := d.(*ast.FuncDecl); ok {
				w.function = f.Name.Name
				if f.Recv != nil {
					w.function = strings.TrimLeft(types.ExprString(f.Recv.List[0].Type), "*") + "." + f.Name.Name
				}
			}
			ast.Inspect(d, w.visit)
		}
		found = append(found, w.found...)
	}
	return found, nil
}

// sources reads the files of a package, named relative to the module.
func sources(t *testing.T, s source) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for _, name := range s.GoFiles {
		raw, err := os.ReadFile(filepath.Join(s.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(s.ImportPath, module+"/")+"/"+name] = raw
	}
	return files
}

// A walker looks at one file.
type walker struct {
	files    *token.FileSet
	name     string
	function string // the one being looked at
	info     *types.Info
	excused  map[*ast.Ident]bool // maps.Keys whose order is lost at once, in slices.Sorted
	found    []finding
}

func (w *walker) report(at token.Pos, rule, format string, args ...any) {
	w.found = append(w.found, finding{w.name, w.files.Position(at).Line, rule, fmt.Sprintf(format, args...)})
}

func (w *walker) imports(file *ast.File) {
	for _, spec := range file.Imports {
		path := strings.Trim(spec.Path.Value, `"`)
		for _, b := range bannedImports {
			if (path == b.path || strings.HasPrefix(path, b.path+"/")) && !slices.Contains(pure, path) {
				w.report(spec.Pos(), "import "+b.path, "%s: %s", path, b.why)
			}
		}
	}
}

func (w *walker) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GoStmt:
		w.report(n.Pos(), "go", "goroutines end in an order that differs between nodes")
	case *ast.SelectStmt:
		w.report(n.Pos(), "select", "select draws lots among what is ready")
	case *ast.RangeStmt:
		if t := w.info.TypeOf(n.X); t != nil {
			if _, isMap := t.Underlying().(*types.Map); isMap {
				w.report(n.Pos(), "map range", "maps have another order on every node: sort the keys, or keep a slice")
			}
		}
	case *ast.BasicLit:
		if n.Kind == token.FLOAT || n.Kind == token.IMAG {
			w.report(n.Pos(), "float", "%s: write it as an integer", n.Value)
		}
	case *ast.Ident:
		w.identifier(n)
	case *ast.CallExpr:
		w.call(n)
	}
	return true
}

// identifier reports uses of banned functions, and names whose type is or holds a float.
func (w *walker) identifier(n *ast.Ident) {
	object := w.info.Uses[n]
	if object == nil {
		object = w.info.Defs[n]
	}
	if object == nil {
		return
	}
	if _, isBuiltin := object.(*types.Builtin); isBuiltin && object.Name() == "recover" && w.function != recoverer {
		w.report(n.Pos(), "recover", "only %s may: it guards the throw-away overlay, and a decided block has no guard", recoverer)
	}
	if object.Pkg() != nil {
		for _, b := range bannedNames {
			if !w.excused[n] && object.Pkg().Path() == b.path && slices.Contains(b.names, object.Name()) {
				w.report(n.Pos(), "call", "%s.%s: %s", b.path, object.Name(), b.why)
			}
		}
	}
	if isFloat(object.Type()) {
		w.report(n.Pos(), "float", "%s is a %s: its rounding is not the same on every machine", object.Name(), object.Type())
	}
}

// isFloat looks through pointers, slices, arrays and maps, but not into structs and functions of others.
func isFloat(t types.Type) bool {
	switch t := t.(type) {
	case *types.Basic:
		return t.Info()&(types.IsFloat|types.IsComplex) != 0
	case *types.Named:
		basic, ok := t.Underlying().(*types.Basic)
		return ok && isFloat(basic)
	case *types.Alias:
		return isFloat(types.Unalias(t))
	case *types.Pointer:
		return isFloat(t.Elem())
	case *types.Slice:
		return isFloat(t.Elem())
	case *types.Array:
		return isFloat(t.Elem())
	case *types.Map:
		return isFloat(t.Key()) || isFloat(t.Elem())
	default:
		return false
	}
}

// call reports maps that are printed: whoever prints one means an order. It excuses keys of a map that are sorted at once.
func (w *walker) call(n *ast.CallExpr) {
	switch function, name := w.callee(n); {
	case function == "fmt":
		for _, arg := range n.Args {
			if t := w.info.TypeOf(arg); t != nil {
				if _, isMap := t.Underlying().(*types.Map); isMap {
					w.report(arg.Pos(), "map print", "a map that is printed has no order that we promise: print a sorted slice")
				}
			}
		}
	case function == "slices" && name == "Sorted" && len(n.Args) > 0:
		if inner, ok := n.Args[0].(*ast.CallExpr); ok {
			if selector, ok := inner.Fun.(*ast.SelectorExpr); ok {
				w.excused[selector.Sel] = true
			}
		}
	}
}

// callee returns the package and the name of what is called, where it is a function of a package.
func (w *walker) callee(n *ast.CallExpr) (path, name string) {
	selector, ok := n.Fun.(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	function, ok := w.info.Uses[selector.Sel].(*types.Func)
	if !ok || function.Pkg() == nil {
		return "", ""
	}
	return function.Pkg().Path(), function.Name()
}
