// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * The PCI tree and the routes as a picture.
 *
 * One row for each device, indented below its bridge, so that a machine of any
 * size stays legible. To the right of a device that can do DMA stands one cell
 * for each device whose memory it might reach; below are the reasons.
 */
#include "topo.h"

#include <string.h>

#define MARGIN		32
#define HEAD		148	/* title and column heads */
#define ROW		58
#define BOX		44
#define INDENT		34
#define BOX_WIDTH	430
#define CELL		132
#define REASON		24
#define SANS "font-family=\"DejaVu Sans, Verdana, Helvetica, Arial, sans-serif\""
#define MONO "font-family=\"DejaVu Sans Mono, Menlo, Consolas, monospace\""

struct colours {
	const char *fill, *line, *text;
};

static const struct colours route_colours[] = {
	[BARTER_ROUTE_NONE] = { "#fdeaea", "#e9a3a3", "#9b1c1c" },
	[BARTER_ROUTE_BUS] = { "#e3edfd", "#93b4ee", "#1e429f" },
	[BARTER_ROUTE_HOST] = { "#e2f5e8", "#8fd0a4", "#14602f" },
	[BARTER_ROUTE_SAME] = { "#f1e8fc", "#c3a2ee", "#5b21a6" },
};

/* Neighbouring groups get different ones. */
static const struct colours group_colours[] = {
	{ "#fef3d6", "#e5bf5c", "#7a5200" },
	{ "#dff3f5", "#76c1c9", "#0d5960" },
	{ "#f6e6f3", "#d497c6", "#7a1f66" },
	{ "#e9f2da", "#a9c973", "#3f5e0d" },
	{ "#fde8dc", "#eba27a", "#87390c" },
	{ "#e6e8fa", "#9ca4e6", "#2f3a9e" },
};

struct svg {
	const struct topo *topo;
	FILE *to;
	int depth;		/* deepest indentation */
	int rows;
	int width, height;
	int cells_x;		/* where the matrix begins */
};

static void text_escaped(FILE *to, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '&':
			fputs("&amp;", to);
			break;
		case '<':
			fputs("&lt;", to);
			break;
		case '>':
			fputs("&gt;", to);
			break;
		case '"':
			fputs("&quot;", to);
			break;
		default:
			if ((unsigned char)*text >= 0x20)
				putc(*text, to);
		}
	}
}

static void text_at(FILE *to, int x, int y, const char *style,
		    const char *text)
{
	fprintf(to, "<text x=\"%d\" y=\"%d\" %s>", x, y, style);
	text_escaped(to, text);
	fputs("</text>\n", to);
}

static void box_at(FILE *to, int x, int y, int width, int height, int radius,
		   const char *fill, const char *line)
{
	fprintf(to, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"%d\" fill=\"%s\" stroke=\"%s\"/>\n",
		x, y, width, height, radius, fill, line);
}

/* Cut to what fits a box; sans at 12 px is about 7 px a character. */
static void cut(char *text, size_t limit)
{
	if (strlen(text) > limit)
		memcpy(text + limit - 3, "...", 4);
}

static int depth_of(const struct barter_pci *pci)
{
	int depth = 1;		/* 0 is the host bridge */

	while ((pci = barter_pci_parent(pci)))
		depth++;
	return depth;
}

static int row_y(int row)
{
	return HEAD + row * ROW;
}

static void draw_root(struct svg *svg, int row, const char *name)
{
	char text[80];
	int y = row_y(row);

	box_at(svg->to, MARGIN, y, BOX_WIDTH, BOX, 6, "#334155", "#334155");
	snprintf(text, sizeof(text), "root complex %.40s", name);
	text_at(svg->to, MARGIN + 14, y + 19, SANS
		" font-size=\"13\" font-weight=\"bold\" fill=\"#ffffff\"",
		text);
	text_at(svg->to, MARGIN + 14, y + 36, SANS
		" font-size=\"12\" fill=\"#cbd5e1\"",
		barter_topology_has_iommu(svg->topo->topology) ?
		"CPU, memory, IOMMU on" : "CPU, memory, no IOMMU");
}

static void draw_group(struct svg *svg, const struct barter_pci *pci, int x,
		       int y)
{
	int group = barter_pci_group(pci);
	const struct colours *c;
	char text[24];

	if (group < 0)
		return;
	c = &group_colours[(size_t)group % (sizeof(group_colours) /
					    sizeof(group_colours[0]))];
	snprintf(text, sizeof(text), "group %d", group);
	box_at(svg->to, x + BOX_WIDTH - 88, y + 11, 76, 22, 11, c->fill,
	       c->line);
	fprintf(svg->to, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\" "
		SANS " font-size=\"11\" fill=\"%s\">%s</text>\n",
		x + BOX_WIDTH - 50, y + 26, c->text, text);
}

static void draw_device(struct svg *svg, const struct barter_pci *pci, int x,
			int y)
{
	const char *driver = barter_pci_driver(pci);
	int bridge = barter_pci_is_bridge(pci);
	int lends = driver && !strcmp(driver, BARTER_DRIVER);
	char text[240], bars[160];

	box_at(svg->to, x, y, BOX_WIDTH, BOX, 6, bridge ? "#eef1f5" :
	       "#ffffff", lends ? "#15803d" : "#a8b3c2");
	if (lends)	/* a stripe marks who lends */
		fprintf(svg->to, "<rect x=\"%d\" y=\"%d\" width=\"6\" height=\"%d\" rx=\"3\" fill=\"#15803d\"/>\n",
			x, y, BOX);
	text_at(svg->to, x + 14, y + 19, MONO
		" font-size=\"13\" font-weight=\"bold\" fill=\"#0f172a\"",
		short_name(pci));
	snprintf(text, sizeof(text), "%04x:%04x  %.60s", barter_pci_vendor(pci),
		 barter_pci_device(pci), barter_pci_class_name(pci));
	cut(text, 32);
	text_at(svg->to, x + (short_name(pci) == barter_pci_name(pci) ? 126 :
			      86), y + 19,
		SANS " font-size=\"12\" fill=\"#334155\"", text);
	bars_format(pci, bars, sizeof(bars));
	snprintf(text, sizeof(text), "%.60s%s%.150s",
		 driver ? driver : "no driver",
		 bridge || !strcmp(bars, "-") ? "" : " \302\267 BAR ",
		 bridge || !strcmp(bars, "-") ? "" : bars);
	cut(text, 48);
	text_at(svg->to, x + 14, y + 36, SANS
		" font-size=\"12\" fill=\"#64748b\"", text);
	draw_group(svg, pci, x, y);
}

static void draw_cell(struct svg *svg, const struct barter_route *route, int x,
		      int y)
{
	const struct colours *c;
	char text[40];

	if (!route) {
		box_at(svg->to, x, y + 4, CELL - 12, BOX - 8, 6, "#f8fafc",
		       "#e2e8f0");
		fprintf(svg->to, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\" "
			SANS " font-size=\"12\" fill=\"#94a3b8\">%s</text>\n",
			x + (CELL - 12) / 2, y + 26,
			svg->topo->error ? "?" : "itself");
		return;
	}
	c = &route_colours[route->out_route <= BARTER_ROUTE_SAME ?
			   route->out_route : BARTER_ROUTE_NONE];
	box_at(svg->to, x, y + 4, CELL - 12, BOX - 8, 6, c->fill, c->line);
	snprintf(text, sizeof(text), "%s [%d]",
		 barter_route_name(route->out_route),
		 topo_reason(svg->topo, route));
	fprintf(svg->to, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\" "
		SANS " font-size=\"12\" font-weight=\"bold\" fill=\"%s\"><title>",
		x + (CELL - 12) / 2, y + 26, c->text);
	text_escaped(svg->to, route->out_text);
	fprintf(svg->to, "</title>%s</text>\n", text);
}

static void draw_cells(struct svg *svg, const struct barter_pci *pci, int x,
		       int y)
{
	const struct topo *topo = svg->topo;
	int i, e;

	for (i = 0; i < topo->nr_importers; i++)
		if (topo->importers[i] == pci)
			break;
	if (i == topo->nr_importers || !topo->nr_exporters)
		return;
	fprintf(svg->to, "<path d=\"M%d %dH%d\" stroke=\"#cbd5e1\" stroke-dasharray=\"2 4\"/>\n",
		x + BOX_WIDTH + 6, y + BOX / 2, svg->cells_x - 8);
	for (e = 0; e < topo->nr_exporters; e++)
		draw_cell(svg, topo_route(topo, i, e),
			  svg->cells_x + e * CELL, y);
}

static void draw_column_heads(struct svg *svg)
{
	const struct topo *topo = svg->topo;
	char bars[160];
	int e;

	if (!topo->nr_exporters)
		return;
	text_at(svg->to, svg->cells_x, 100, SANS
		" font-size=\"12\" fill=\"#64748b\"",
		"DMA of the device in this row to the memory of");
	for (e = 0; e < topo->nr_exporters; e++) {
		struct barter_bar bar, largest = { .length = 0 };
		uint32_t i;

		for (i = 0; i < BARTER_BARS; i++)
			if (!barter_pci_bar(topo->exporters[e], i, &bar) &&
			    bar.flags & BARTER_BAR_MEMORY &&
			    bar.length > largest.length)
				largest = bar;
		snprintf(bars, sizeof(bars), "BAR %u: %s", largest.index,
			 SIZE_TEXT(largest.length));
		text_at(svg->to, svg->cells_x + e * CELL, 122, MONO
			" font-size=\"13\" font-weight=\"bold\" fill=\"#0f172a\"",
			short_name(topo->exporters[e]));
		text_at(svg->to, svg->cells_x + e * CELL, 138, SANS
			" font-size=\"11\" fill=\"#64748b\"", bars);
	}
}

/*
 * Rows are in the order of a walk down the tree. Each row gets its connector
 * from its parent's row, so bridges must come first: @above[depth] is the row
 * of the last device drawn at that depth.
 */
struct walk {
	int row;
	int above[32];
};

static void draw_row(struct svg *svg, struct walk *walk,
		     const struct barter_pci *pci, int depth)
{
	int x = MARGIN + depth * INDENT, y = row_y(walk->row);
	int from = row_y(walk->above[depth - 1]) + BOX;

	fprintf(svg->to, "<path d=\"M%d %dV%dH%d\" fill=\"none\" stroke=\"#94a3b8\" stroke-width=\"1.5\"/>\n",
		x - INDENT + 16, from, y + BOX / 2, x);
	draw_device(svg, pci, x, y);
	draw_cells(svg, pci, x, y);
	walk->above[depth] = walk->row++;
}

static void draw_below(struct svg *svg, struct walk *walk,
		       const struct barter_pci *parent, const char *root,
		       int depth)
{
	const struct barter_pci *pci = NULL;

	if (depth >= 32)
		return;
	while ((pci = barter_topology_next(svg->topo->topology, pci))) {
		if (barter_pci_parent(pci) != parent ||
		    strcmp(barter_pci_root(pci), root))
			continue;
		draw_row(svg, walk, pci, depth);
		draw_below(svg, walk, pci, root, depth + 1);
	}
}

static void draw_tree(struct svg *svg)
{
	const struct barter_pci *pci = NULL;
	struct walk walk = { .row = 0 };
	const char *root = "";

	while ((pci = barter_topology_next(svg->topo->topology, pci))) {
		if (!strcmp(root, barter_pci_root(pci)))
			continue;
		root = barter_pci_root(pci);
		walk.above[0] = walk.row;
		draw_root(svg, walk.row++, root);
		draw_below(svg, &walk, NULL, root, 1);
	}
}

static void draw_reasons(struct svg *svg)
{
	const struct topo *topo = svg->topo;
	char text[BARTER_TEXT_LENGTH + 16];
	int i, y = row_y(svg->rows) + 20;

	if (topo->error) {
		snprintf(text, sizeof(text), "routes unknown: %.150s",
			 control_trouble(topo->error));
		text_at(svg->to, MARGIN, y, SANS
			" font-size=\"13\" fill=\"#9b1c1c\"", text);
		return;
	}
	for (i = 0; i < topo->nr_reasons; i++) {
		snprintf(text, sizeof(text), "[%d]", i + 1);
		text_at(svg->to, MARGIN, y + i * REASON, SANS
			" font-size=\"13\" font-weight=\"bold\" fill=\"#0f172a\"",
			text);
		text_at(svg->to, MARGIN + 34, y + i * REASON, SANS
			" font-size=\"13\" fill=\"#334155\"",
			topo->reasons[i]);
	}
}

/* How large the picture becomes. */
static void measure(struct svg *svg)
{
	const struct topo *topo = svg->topo;
	const struct barter_pci *pci = NULL;
	const char *root = "";
	int lines = topo->error ? 1 : topo->nr_reasons, i, wide;

	while ((pci = barter_topology_next(topo->topology, pci))) {
		int depth = depth_of(pci);

		if (depth > svg->depth)
			svg->depth = depth;
		svg->rows++;
		if (strcmp(root, barter_pci_root(pci)))
			svg->rows++;
		root = barter_pci_root(pci);
	}
	svg->cells_x = MARGIN + svg->depth * INDENT + BOX_WIDTH + 36;
	svg->width = svg->cells_x + topo->nr_exporters * CELL + MARGIN - 12;
	if (svg->width < svg->cells_x + 320)
		svg->width = svg->cells_x + 320;
	for (i = 0; i < topo->nr_reasons; i++) {
		wide = MARGIN * 2 + 34 + (int)strlen(topo->reasons[i]) * 8;
		if (wide > svg->width)
			svg->width = wide;
	}
	svg->height = row_y(svg->rows) + 20 + lines * REASON + 12;
}

void topo_svg(const struct topo *topo, FILE *to)
{
	struct svg svg = { .topo = topo, .to = to };

	measure(&svg);
	fprintf(to, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">\n"
		"<title>barter topo</title>\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n",
		svg.width, svg.height, svg.width, svg.height);
	text_at(to, MARGIN, 46, SANS
		" font-size=\"22\" font-weight=\"bold\" fill=\"#0f172a\"",
		"PCI tree and peer-to-peer routes");
	text_at(to, MARGIN, 70, SANS " font-size=\"13\" fill=\"#64748b\"",
		"a green stripe marks devices that lend; numbers in brackets name the reason below");
	draw_column_heads(&svg);
	draw_tree(&svg);
	draw_reasons(&svg);
	fputs("</svg>\n", to);
}
