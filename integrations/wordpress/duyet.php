<?php
/**
 * Plugin Name: Duyet
 * Description: Sends what the Akismet plugin asks to your own Duyet, and nothing to anybody else.
 * License: GPL-2.0-or-later
 *
 * A must-use plugin: copy it to wp-content/mu-plugins/, and say where Duyet is in wp-config.php:
 *
 *     define( 'DUYET_URL', 'https://moderation.example' );
 */

if ( ! defined( 'ABSPATH' ) ) {
	exit;
}

/**
 * Where Duyet is, or nothing where that is not said: then nobody is asked, Akismet least of all.
 */
function duyet_url() {
	$url     = defined( 'DUYET_URL' ) ? (string) DUYET_URL : '';
	$is_fine = preg_match( '#^https?://[^/\s]#', $url ) && false === stripos( $url, 'akismet.com' );
	return $is_fine ? rtrim( $url, '/' ) : '';
}

add_action(
	'admin_notices',
	function () {
		if ( '' === duyet_url() && current_user_can( 'manage_options' ) ) {
			echo '<div class="notice notice-error"><p>Duyet: define DUYET_URL in wp-config.php, such as',
				' https://moderation.example. Until then no comment is checked.</p></div>';
		}
	}
);

/**
 * Makes a call to Akismet one to Duyet. Older versions of the plugin say their key in the host name.
 */
add_filter(
	'pre_http_request',
	function ( $answer, $arguments, $url ) {
		$found = preg_match( '#^https?://(?:([0-9a-f]{12})\.)?rest\.akismet\.com(/.*)$#i', $url, $parts );
		if ( false !== $answer || ! $found ) {
			return $answer;
		}
		if ( '' === duyet_url() ) {
			return new WP_Error( 'duyet', 'DUYET_URL is not defined' );
		}
		unset( $arguments['headers']['Host'], $arguments['headers']['host'] );
		if ( '' !== $parts[1] ) {
			$body = isset( $arguments['body'] ) ? $arguments['body'] : '';
			$body = is_array( $body ) ? http_build_query( $body, '', '&' ) : (string) $body;
			if ( ! preg_match( '/(?:^|&)api_key=/', $body ) ) {
				$body = ltrim( $body . '&api_key=' . rawurlencode( $parts[1] ), '&' );
			}
			$arguments['body'] = $body;
		}
		return wp_remote_request( duyet_url() . $parts[2], $arguments );
	},
	10,
	3
);
